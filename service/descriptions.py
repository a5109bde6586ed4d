"""Where programs find what describes the service: its OpenAPI document, links to it, the list of its APIs."""

from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import JSONResponse, Response
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from stac_catalog.api_addresses import Addresses
from stac_catalog.api_core import OPENAPI
from stac_catalog.signposting import LINKSET_TYPE

DOCUMENT: Final = "openapi.json"
CATALOG: Final = ".well-known/api-catalog"
# RFC 9727, section 3.
_CATALOG_TYPE: Final = f'{LINKSET_TYPE}; profile="https://www.rfc-editor.org/info/rfc9727"'
_LANDING_PAGES: Final = frozenset({"/", "/ogc", "/ogc/", "/stac", "/stac/"})


def descriptions_router(*, public_url: str = "", trust_forwarded: bool = False) -> APIRouter:
    """Routes of the OpenAPI document of the whole service, and of the list of its APIs (RFC 9727).

    Addresses begin as those of the STAC API do.
    """
    addresses = Addresses("", public_url, trust_forwarded=trust_forwarded)
    router = APIRouter(tags=["server"])

    async def document(request: Request) -> Response:
        return JSONResponse(request.app.openapi(), media_type=OPENAPI)

    async def catalog(request: Request) -> Response:
        return JSONResponse(_catalog(addresses.files(request)), media_type=_CATALOG_TYPE)

    router.add_api_route(f"/{DOCUMENT}", document, include_in_schema=False)
    summary = "The APIs of the service and what describes them"
    router.add_api_route(f"/{CATALOG}", catalog, summary=summary, response_class=Response)
    return router


def _catalog(root: str) -> dict[str, Any]:
    ogc = {"href": f"{root}ogc/openapi?f=json", "type": "application/vnd.oai.openapi+json;version=3.0"}
    page = {"href": f"{root}ogc/openapi?f=html", "type": "text/html"}
    health = {"href": f"{root}health", "type": "application/json"}
    whole = {"href": f"{root}{DOCUMENT}", "type": OPENAPI}
    return {
        "linkset": [
            {"anchor": root, "service-desc": [whole], "status": [health]},
            {"anchor": f"{root}ogc/", "service-desc": [ogc, whole], "service-doc": [page]},
            {"anchor": f"{root}stac", "service-desc": [whole]},
        ]
    }


class Signposts:
    """The landing pages' links to what describes the whole service, in the header ``Link`` (RFC 8631, RFC 9727)."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http" or scope["path"] not in _LANDING_PAGES:
            await self._app(scope, receive, send)
            return
        # Relative, so that they lead right behind a proxy with a path of its own, too.
        home = "../" * (scope["path"].count("/") - 1)

        async def marked(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.append("Link", f'<{home}{DOCUMENT}>; rel="service-desc"; type="{OPENAPI}"')
                headers.append("Link", f'<{home}{CATALOG}>; rel="api-catalog"')
            await send(message)

        await self._app(scope, receive, marked)

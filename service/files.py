"""Files served as they lie: the static catalog with its COGs, results of jobs, the page."""

import json
from http import HTTPStatus
from pathlib import Path, PurePosixPath

from anyio import to_thread
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from cup4soil.products import COG_MEDIA_TYPE
from stac_catalog.catalogs import CATALOG_FILE
from stac_catalog.visibility import HIDDEN, is_hidden

_TYPES = {
    ".tif": COG_MEDIA_TYPE,
    ".geojson": "application/geo+json",
}
_NEVER_CHANGES = "public, max-age=86400"
_ASK_AGAIN = "no-cache"


class PublicFiles(StaticFiles):
    """A folder by HTTP, byte ranges included. Hidden files (locks, folders half-written) are not there."""

    def __init__(self, folder: Path, *, html: bool = False, immutable: tuple[str, ...] = ()) -> None:
        super().__init__(directory=folder, html=html)
        self._immutable = immutable

    async def get_response(self, path: str, scope: Scope) -> Response:
        """See :class:`StaticFiles`."""
        if any(part.startswith(".") and part != "." for part in Path(path).parts):
            raise HTTPException(404)
        response = await super().get_response(path, scope)
        suffix = Path(path).suffix
        if suffix in _TYPES:
            response.headers["content-type"] = _TYPES[suffix]
        response.headers["cache-control"] = _NEVER_CHANGES if suffix in self._immutable else _ASK_AGAIN
        return response


class CatalogFiles(PublicFiles):
    """The static catalog, whose root leads to nothing that the one who asks may not see; items are GeoJSON."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """See :class:`StaticFiles`."""
        response = await super().get_response(path, scope)
        place = PurePosixPath(path)
        if place.name == f"{place.parent.name}.json":
            response.headers["content-type"] = _TYPES[".geojson"]
        if path != CATALOG_FILE or not HIDDEN.get() or response.status_code >= HTTPStatus.BAD_REQUEST:
            return response
        content = await to_thread.run_sync((Path(str(self.directory)) / CATALOG_FILE).read_bytes)
        catalog = json.loads(content)
        catalog["links"] = [link for link in catalog["links"] if not is_hidden(_collection(link["href"]))]
        return JSONResponse(catalog, headers={"cache-control": _ASK_AGAIN})


def _collection(href: str) -> str:
    """The collection to which a link of the root catalog leads."""
    return PurePosixPath(href).parts[0] if href else ""

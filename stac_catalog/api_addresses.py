"""Where the service is, as the one who asks sees it."""

import re
from typing import Final

from starlette.requests import Request

from stac_catalog.search_documents import filled

_HOST: Final = re.compile(r"[A-Za-z0-9.-]{1,253}(:\d{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](:\d{1,5})?")
_PREFIX: Final = re.compile(r"(/[A-Za-z0-9._~-]+)*/?")


class Addresses:
    """Absolute addresses for the answer to a request.

    They begin with ``public_url`` when it is given, else with what the request says of itself; headers that
    proxies set count only where they are trusted, since anyone can send them.
    """

    def __init__(self, prefix: str, public_url: str = "", *, trust_forwarded: bool = False) -> None:
        self._prefix = prefix.strip("/")
        self._public = f"{public_url.rstrip('/')}/" if public_url else ""
        self._trust_forwarded = trust_forwarded

    def files(self, request: Request) -> str:
        """Root of the service, ending in ``/``."""
        if self._public:
            return self._public
        if self._trust_forwarded:
            return self._forwarded(request)
        return str(request.base_url)

    def api(self, request: Request) -> str:
        """Root of the API, ending in ``/``."""
        return f"{self.files(request)}{self._prefix}/"

    def here(self, request: Request) -> str:
        """The address that was asked for, without its parameters."""
        path: str = request.scope["path"]
        root = str(request.scope.get("root_path", ""))
        return f"{self.files(request)}{path.removeprefix(root).lstrip('/')}"

    def fill(self, text: str, request: Request) -> str:
        """A document of the index with addresses for the one who asks."""
        return filled(text, self.api(request), self.files(request))

    def _forwarded(self, request: Request) -> str:
        base = request.base_url
        protocol = _first(request, "x-forwarded-proto")
        host = _first(request, "x-forwarded-host")
        prefix = _first(request, "x-forwarded-prefix")
        scheme = protocol if protocol in ("http", "https") else base.scheme
        netloc = host if _HOST.fullmatch(host) else base.netloc
        path = prefix if prefix and _PREFIX.fullmatch(prefix) else base.path
        return f"{scheme}://{netloc}{path.rstrip('/')}/"


def _first(request: Request, header: str) -> str:
    """What the proxy nearest to the client wrote."""
    return request.headers.get(header, "").split(",")[0].strip()

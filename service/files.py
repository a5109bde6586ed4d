"""Files served as they lie: the static catalog with its COGs, results of jobs, the page."""

from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from cup4soil.products import COG_MEDIA_TYPE

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

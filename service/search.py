"""Which search backend the service has: the one place that chooses."""

from pathlib import Path
from urllib.parse import urlsplit

from cup4soil.errors import InvalidInput
from service.settings import ServiceSettings
from stac_catalog.search import INDEX_FILE, SearchIndex
from stac_catalog.search_backend import SearchBackend


def search_backend(root: Path, settings: ServiceSettings) -> SearchBackend:
    """The backend for the store at ``root``, to be closed at the end.

    Raises:
        InvalidInput: when a database is set that is none of PostgreSQL, or whose packages are not installed.
    """
    if settings.search_database is not None:
        return _pgstac(root, settings.search_database.get_secret_value(), settings.search_seconds)
    return SearchIndex(root / INDEX_FILE, seconds=settings.search_seconds)


def _pgstac(root: Path, address: str, seconds: float) -> SearchBackend:
    if urlsplit(address).scheme not in ("postgresql", "postgres"):
        raise InvalidInput("CUP4SOIL_SEARCH_DATABASE is not PostgreSQL's", "write postgresql://user@host/name")
    try:
        from stac_catalog.pgstac import PgstacIndex  # its packages are an extra
    except ModuleNotFoundError as error:
        raise InvalidInput(
            f"CUP4SOIL_SEARCH_DATABASE needs the package {error.name}", "pip install 'cup4soil[pgstac]'"
        ) from error
    return PgstacIndex(root, address, seconds=seconds)

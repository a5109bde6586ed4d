"""Which search backend the service has: the one place that chooses."""

from pathlib import Path

from service.settings import ServiceSettings
from stac_catalog.search import INDEX_FILE, SearchIndex
from stac_catalog.search_backend import SearchBackend


def search_backend(root: Path, settings: ServiceSettings) -> SearchBackend:
    """The backend for the store at ``root``, to be closed at the end."""
    return SearchIndex(root / INDEX_FILE, seconds=settings.search_seconds)

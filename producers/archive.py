"""Opening a Sentinel-2 archive: a static STAC catalog, an item collection or a STAC API."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pystac
import requests
from pystac_client import Client
from pystac_client.exceptions import APIError
from shapely.geometry import mapping
from shapely.geometry.base import BaseGeometry

from cup4soil.errors import InvalidInput, LimitExceeded, NoData, NotFound

_CANNOT_READ = (
    pystac.STACError,
    pystac.STACTypeError,
    AttributeError,
    LookupError,
    OSError,
    RecursionError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True, slots=True)
class ArchiveQuery:
    """What is asked of an archive: an area in WGS 84, a time interval in UTC, the collections of an API."""

    area: BaseGeometry | None = None
    start: datetime | None = None
    end: datetime | None = None
    collections: tuple[str, ...] = ("sentinel-2-l2a",)
    max_items: int = 20_000


@dataclass(frozen=True, slots=True)
class ArchiveItem:
    """An item and the folder it lies in; None where it came from the network."""

    item: pystac.Item
    folder: Path | None
    licence: str | None


def is_remote(source: str) -> bool:
    """True for a web address."""
    return source.startswith(("http://", "https://"))


def archive_items(source: str, query: ArchiveQuery) -> list[ArchiveItem]:
    """All items of an archive; an API is asked for area, time and collections only, a catalog gives all it has.

    Raises:
        NotFound: when there is no such catalog.
        InvalidInput: when it cannot be read as STAC, or the API cannot be reached.
        NoData: when it holds no item at all.
    """
    items = _from_api(source, query) if is_remote(source) else _from_catalog(Path(source))
    if not items:
        raise NoData(
            f"{source} holds no scene" + (" for this area and time" if is_remote(source) else ""),
            "check source, area and period",
        )
    return items


def _from_api(url: str, query: ArchiveQuery) -> list[ArchiveItem]:
    try:
        client = Client.open(url)
        search = client.search(
            collections=list(query.collections),
            datetime=_interval(query),
            limit=200,
            max_items=query.max_items + 1,
            intersects=mapping(query.area) if query.area is not None else None,
        )
        items = [ArchiveItem(item, None, None) for item in search.items()]
    except (APIError, requests.RequestException) as error:
        raise InvalidInput(
            f"{url} does not answer as a STAC API: {error}", "give the landing page of a STAC API"
        ) from error
    except _CANNOT_READ as error:
        raise InvalidInput(
            f"{url} gives no usable STAC: {error}", "give the landing page of a STAC API with item search"
        ) from error
    if len(items) > query.max_items:
        raise LimitExceeded(
            f"{url} has more than {query.max_items} scenes for this area and time", "narrow area or period"
        )
    return items


def _interval(query: ArchiveQuery) -> str | None:
    if query.start is None and query.end is None:
        return None
    return "/".join(t.strftime("%Y-%m-%dT%H:%M:%SZ") if t else ".." for t in (query.start, query.end))


def _from_catalog(path: Path) -> list[ArchiveItem]:
    if not path.is_file():
        raise NotFound(f"no catalog {path}", "give a catalog.json, or the address of a STAC API")
    try:
        root = pystac.read_file(str(path.resolve()))
        items = list(_walk(root))
    except FileNotFoundError as error:
        raise NotFound(
            f"{path} links to {error.filename or error}, which does not exist", "mend the catalog"
        ) from error
    except _CANNOT_READ as error:
        raise InvalidInput(
            f"{path} cannot be read as STAC: {error}", "give a STAC catalog, collection or item collection"
        ) from error
    return items


def _walk(root: Any) -> list[ArchiveItem]:
    if isinstance(root, pystac.Catalog):
        return [_local(item) for item in root.get_items(recursive=True)]
    if isinstance(root, pystac.ItemCollection):
        return [_local(item) for item in root.items]
    return [_local(root)]


def _local(item: pystac.Item) -> ArchiveItem:
    href = item.get_self_href()
    collection = item.get_collection()
    licence = item.properties.get("license") or (collection.license if collection else None)
    return ArchiveItem(item, Path(href).parent if href else None, licence)

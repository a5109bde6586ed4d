"""Search among the validation sites and sample locations of a store.

Sites are products of their own, one GeoJSON file for each model. As with items, the index is a cache of what the
catalog has (docs/adr/0006), and is searched in the same way.
"""

import hashlib
import json
import logging
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import shapely
from shapely.errors import GEOSException

from cup4soil.errors import InvalidInput
from stac_catalog.files import signature
from stac_catalog.search import SearchIndex
from stac_catalog.search_documents import compact
from stac_catalog.search_rows import Rows
from stac_catalog.search_sync import Entry, Known, facts_of
from stac_catalog.search_time import FAR
from stac_catalog.search_values import parse_instant
from stac_catalog.visibility import is_hidden

SITES: Final = "validation-sites"
SAMPLES: Final = "samples"
SITES_FILE: Final = "sites.geojson"
SITES_INDEX_FILE: Final = "sites.sqlite"
# What is known of a sample by itself, without a model.
_OF_SAMPLES: Final = (
    "sample", "property", "unit", "observed", "depth", "upper_cm", "lower_cm", "position", "source", "attribution",
    "start_datetime", "end_datetime",
)  # fmt: skip
# Long, and the same for all sites of a product: not to be searched by.
_UNSEARCHED: Final = frozenset({"attribution", "validation"})
_LOG = logging.getLogger(__name__)

type _Feature = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class SitesExtent:
    """How many features there are, their box in degrees, and the period they speak of (microseconds; None is open)."""

    count: int
    bbox: tuple[float, float, float, float]
    start: int | None
    end: int | None


class SiteIndex(SearchIndex):
    """The features of a store, in the collections :data:`SITES` and :data:`SAMPLES` (each observation once)."""

    def __init__(self, path: Path, *, seconds: float = 10.0) -> None:
        super().__init__(path, folders=(), seconds=seconds)
        self._extents: tuple[object, dict[str, SitesExtent | None]] = (None, {})

    def extent(self, collection: str) -> SitesExtent | None:
        """How far the features of a collection reach; None where it has none, or they must not be seen.

        Raises:
            StoreError: as :meth:`sync`.
        """
        # Whoever must not see the sites must not see the samples that are known through them.
        if is_hidden(collection) or is_hidden(SITES):
            return None
        self.sync()
        seen, extents = self._extents
        if seen != self._seen:
            found = {name: self._extent(name) for name in (SITES, SAMPLES)}
            # One of the same state, whichever thread comes last.
            seen, extents = self._extents = (self._seen, found)
        return extents.get(collection)

    def _extent(self, collection: str) -> SitesExtent | None:
        sql = (
            'SELECT count(*), min(west), min(south), max(east), max(north), min(start), max("end")'
            " FROM items WHERE collection = ?"
        )
        row = self._answered(lambda connection: connection.db.execute(sql, (collection,)).fetchone())
        if not row[0]:
            return None
        start, end = (None if abs(each) == FAR else each for each in row[5:])
        return SitesExtent(row[0], row[1:5], start, end)

    def _take_in(self, db: sqlite3.Connection, known: Known | None) -> Known:
        rows, folder, now = Rows(db), self._watched.folder / SITES, self._watched.state()
        present = {path.parent.name: signature(path) for path in sorted(folder.glob(f"[!.]*/{SITES_FILE}"))}
        states = rows.collections()
        # An observation may be known through several products: what goes may have hidden another.
        if known is None or any(present.get(name) != state for name, state in states.items()):
            rows.clear()
            states = {}
        for name in present.keys() - states.keys():
            there = {collection: rows.items(collection).keys() for collection in (SITES, SAMPLES)}
            entries = _entries(folder / name / SITES_FILE)
            rows.put_items(each for (collection, id_), each in entries.items() if id_ not in there[collection])
            rows.put_collection(name, present[name], {})
        return Known(now, mark="")


def _entries(path: Path) -> dict[tuple[str, str], Entry]:
    """The sites of a file and their observations; of one that is damaged none, as it must spoil no other."""
    try:
        sites = json.loads(path.read_bytes())["features"]
        entries = [_entry(*each) for site in sites for each in ((SITES, site), (SAMPLES, _observation(site)))]
    except (OSError, LookupError, TypeError, ValueError, AttributeError, InvalidInput, GEOSException) as error:
        _LOG.error("%s is left out, as it is damaged: %s", path, error)
        return {}
    return {(each.collection, each.id): each for each in entries}


def _entry(collection: str, feature: _Feature) -> Entry:
    properties, shape = feature["properties"], shapely.from_geojson(json.dumps(feature["geometry"]))
    begin, end = properties.get("start_datetime"), properties.get("end_datetime")
    west, south, east, north = shape.bounds
    return Entry(
        collection=collection,
        id=feature["id"],
        state="",
        document=dict(feature),
        # Without a time a feature meets every time that is asked for, as OGC API Features has it.
        start=-FAR if begin is None else parse_instant(begin),
        end=FAR if end is None else parse_instant(end),
        box=(west, south, east, north),
        shape=shape.wkb,
        facts=frozenset(each for each in facts_of(properties) if each[0] not in _UNSEARCHED),
    )


def _observation(site: _Feature) -> _Feature:
    """What was sampled and measured at a site; equal ones of several models have one id."""
    given = site["properties"]
    properties = {name: given.get(name) for name in _OF_SAMPLES} | {"licence": given["source_licence"]}
    content = compact({"geometry": site["geometry"], **properties})
    name = hashlib.sha256(content.encode()).hexdigest()[:16]
    return {"type": "Feature", "id": name, "geometry": site["geometry"], "properties": properties}

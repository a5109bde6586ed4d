"""The features of a store as GeoJSON and CSV, and the descriptions of their collections."""

import csv
import io
import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from processors.crs import CRS84, Reference, project_points
from processors.feature_query import CRS, FeatureQuery
from processors.feature_schemas import PROPERTIES
from stac_catalog.search_backend import Page
from stac_catalog.sites import SAMPLES, SITES, SitesExtent

GEOJSON: Final = "application/geo+json"
CSV: Final = "text/csv"
HTML: Final = "text/html"
_REL: Final = "http://www.opengis.net/def/rel/ogc/1.0"
_TITLES: Final = {SITES: "Validation sites", SAMPLES: "Soil samples"}
_DESCRIPTIONS: Final = {
    SITES: (
        "Places of soil samples with what was measured there, what a model predicted without having seen the sample, "
        "its 90 % interval and whether the model is applicable. Only samples whose licence lets them be passed on."
    ),
    SAMPLES: "Places of soil samples with what was measured there, where their licence lets them be passed on.",
}
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DEGREE_DIGITS, _METRE_DIGITS = 7, 2


def features(collection: str, page: Page, asked: FeatureQuery) -> list[dict[str, Any]]:
    """The features of a page, in the system and with the properties asked for."""
    found = [json.loads(text) for text in page.items]
    _project(found, asked.crs)
    names = asked.names or tuple(PROPERTIES[collection])
    for each in found:
        each["properties"] = {name: each["properties"].get(name) for name in names}
    return found


def _project(found: Sequence[dict[str, Any]], crs: Reference) -> None:
    """Bring points from CRS84 into ``crs``, in its order of axes."""
    if crs == CRS84 or not found:
        return
    lons, lats = zip(*(each["geometry"]["coordinates"] for each in found), strict=True)
    xs, ys = project_points(lons, lats, CRS84.crs, crs.crs)
    digits = _DEGREE_DIGITS if crs.crs.geographic else _METRE_DIGITS
    for each, x, y in zip(found, xs, ys, strict=True):
        numbers = (y, x) if crs.y_first else (x, y)
        each["geometry"]["coordinates"] = [round(number, digits) for number in numbers]


def as_csv(found: Sequence[dict[str, Any]], names: Sequence[str], crs: Reference) -> str:
    """The features as lines: id, the coordinates in the order of the axes, the properties."""
    axes = ("y", "x") if crs.y_first else ("x", "y")
    stream = io.StringIO(newline="")
    writer = csv.writer(stream, lineterminator="\r\n")
    writer.writerow(["id", *axes, *names])
    for each in found:
        properties = each["properties"]
        writer.writerow([each["id"], *each["geometry"]["coordinates"], *(properties.get(name) for name in names)])
    return stream.getvalue()


def collection_document(collection: str, extent: SitesExtent, ogc: str) -> dict[str, Any]:
    """The description of a collection of features; ``ogc`` is the address of the API."""
    here = f"{ogc}/collections/{collection}"
    return {
        "id": collection,
        "title": _TITLES[collection],
        "description": _DESCRIPTIONS[collection],
        "keywords": ["soil", "soil samples", "validation"],
        "itemType": "feature",
        "extent": {
            "spatial": {"bbox": [list(extent.bbox)], "crs": CRS84.uri},
            "temporal": {"interval": [[_time(extent.start), _time(extent.end)]]},
        },
        "crs": [each.uri for each in CRS],
        "storageCrs": CRS84.uri,
        "links": list(_collection_links(here, ogc)),
    }


def _collection_links(here: str, ogc: str) -> Iterator[dict[str, str]]:
    yield link("self", "application/json", "This document", f"{here}?f=json")
    yield link("alternate", HTML, "This document as HTML", f"{here}?f=html")
    for kind, title, name in ((GEOJSON, "GeoJSON", "json"), (HTML, "HTML", "html"), (CSV, "CSV", "csv")):
        yield link("items", kind, f"Features as {title}", f"{here}/items?f={name}")
    yield link(f"{_REL}/schema", "application/schema+json", "Schema of the features", f"{here}/schema")
    yield link(f"{_REL}/queryables", "application/schema+json", "Queryables", f"{here}/queryables")
    yield link(f"{_REL}/sortables", "application/schema+json", "Sortables", f"{here}/sortables")
    yield link("root", "application/json", "The landing page", f"{ogc}/?f=json")


def link(rel: str, media_type: str, title: str, href: str) -> dict[str, str]:
    """A link as documents have it."""
    return {"rel": rel, "type": media_type, "title": title, "href": href}


def _time(microseconds: int | None) -> str | None:
    if microseconds is None:
        return None
    return (_EPOCH + timedelta(microseconds=microseconds)).strftime("%Y-%m-%dT%H:%M:%SZ")

"""What a client asks of the features: the parameters of OGC API Features parts 1 to 3, read and checked."""

import math
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any, Final

import shapely

from cup4soil.errors import InvalidInput
from processors.coverage_query import collect, names_in, parse_box
from processors.crs import CRS84, Reference, parse_reference, project_points
from processors.feature_schemas import PROPERTIES, companions, searched
from processors.search_paging import parse_offset, parse_period
from stac_catalog.search_filter import check_filter, read_filter
from stac_catalog.search_query import Filter, Query, SortField, parse_limit, parse_sort
from stac_catalog.search_values import check_geometry, parse_bbox, shown

PARAMETERS: Final = (
    "bbox", "bbox-crs", "datetime", "limit", "offset", "token", "crs", "filter", "filter-lang", "filter-crs", "sortby",
    "properties", "f",
)  # fmt: skip
# The systems in which features are given and asked for.
CRS: Final = (CRS84, *(parse_reference(f"EPSG:{code}", "crs") for code in (4326, 4258, 3035, 3857)))
DEFAULT: Final = 10
_LONGEST = 12_000
# Of the edges of a box: chords of 1000 km leave the edge by half a metre.
_SEGMENTS: Final = 1000
_DEEPEST: Final = 4


@dataclass(frozen=True, slots=True)
class FeatureQuery:
    """A checked request. ``names`` are the properties wanted, None for all; ``given`` its parameters but those of
    paging, to be repeated in links.
    """

    query: Query
    offset: int
    crs: Reference
    names: tuple[str, ...] | None
    format: str | None
    given: dict[str, str]


def parse_features(collection: str, pairs: Iterable[tuple[str, str]], most: int) -> FeatureQuery:
    """Read the parameters of a search for features of a collection; ``most`` are given on one page.

    Raises:
        InvalidInput: naming the parameter, when one is unknown, repeated or malformed.
    """
    given = collect(pairs, (*PARAMETERS, *searched(collection)), longest=_LONGEST)
    query = Query(
        collections=(collection,),
        **_area(given),
        period=parse_period(given["datetime"]) if "datetime" in given else None,
        filter=_filter(collection, given),
        sort=_sort(collection, given["sortby"]) if "sortby" in given else (),
        limit=parse_limit(given.get("limit", str(min(DEFAULT, most))), most),
        token=given.get("token"),
    )
    kept = {name: value for name, value in given.items() if name not in ("offset", "token")}
    return FeatureQuery(
        query, parse_offset(given), known_crs(given, "crs"), _names(collection, given), given.get("f"), kept
    )


def known_crs(given: dict[str, str], parameter: str) -> Reference:
    """The system that a parameter names, CRS84 without it.

    Raises:
        InvalidInput: when features are not given in that one.
    """
    found = parse_reference(given[parameter], parameter) if parameter in given else CRS84
    if found not in CRS:
        raise InvalidInput(f"{parameter} is {given[parameter][:80]!r}", f"use one of {', '.join(c.uri for c in CRS)}")
    return found


def _area(given: dict[str, str]) -> dict[str, Any]:
    """The box as fields of a query: as it is in CRS84, in another system as a polygon with densified edges."""
    if "bbox" not in given:
        if "bbox-crs" in given:
            raise InvalidInput("bbox-crs is given without bbox", "give both or none")
        return {}
    crs = known_crs(given, "bbox-crs")
    if crs == CRS84:
        return {"boxes": parse_bbox(given["bbox"])}
    edge = shapely.segmentize(box := shapely.box(*parse_box(given["bbox"], crs).astuple()), box.length / _SEGMENTS)
    xs, ys = shapely.get_coordinates(edge).T
    lons, lats = project_points(xs.tolist(), ys.tolist(), crs.crs, CRS84.crs)
    if not all(map(math.isfinite, (*lons, *lats))):
        raise InvalidInput(f"bbox is {given['bbox'][:80]!r}, which bbox-crs does not reach", "see to the order of axes")
    return {"intersects": check_geometry(shapely.Polygon(zip(lons, lats, strict=True)), "bbox")}


def _filter(collection: str, given: dict[str, str]) -> Filter | None:
    """The filter and the properties given by name, together."""
    filters = searched(collection)
    parts: list[Any] = [_equal(name, about, given[name]) for name, about in filters.items() if name in given]
    if "filter" in given:
        parts.append(_stated(given, {"id", "geometry", *filters}))
    elif stray := [name for name in ("filter-lang", "filter-crs") if name in given]:
        raise InvalidInput(f"{stray[0]} is given without filter", "give both or none")
    if not parts:
        return None
    whole: Filter = parts[0] if len(parts) == 1 else {"op": "and", "args": parts}
    check_filter(whole)
    return whole


def _stated(given: dict[str, str], known: Collection[str]) -> Filter:
    tree = read_filter(given["filter"], given.get("filter-lang", "cql2-text"))
    crs = known_crs(given, "filter-crs")
    for node in _nodes(tree):
        name = node.get("property")
        if isinstance(name, str) and name not in known:
            raise InvalidInput(f"filter names {shown(name)}, which is no queryable", f"use {', '.join(sorted(known))}")
        if crs != CRS84:
            _to_degrees(node, crs)
    return tree


def _nodes(tree: object) -> Iterable[dict[str, Any]]:
    """All objects of parsed JSON, however deep."""
    waiting = [tree]
    while waiting:
        node = waiting.pop()
        if isinstance(node, dict):
            yield node
            waiting += node.values()
        elif isinstance(node, list):
            waiting += node


def _to_degrees(node: dict[str, Any], crs: Reference) -> None:
    """Bring the coordinates of a geometry within a filter from the order and the system of ``crs`` to CRS84."""
    if isinstance(node.get("bbox"), list):
        raise InvalidInput("filter has a BBOX, which only CRS84 goes with", "give a POLYGON, or leave out filter-crs")
    if "coordinates" in node:
        node["coordinates"] = _moved(node["coordinates"], crs, 0)


def _moved(part: Any, crs: Reference, depth: int) -> Any:
    if not isinstance(part, list) or depth > _DEEPEST:
        raise InvalidInput("filter has a geometry without coordinates", "give GeoJSON or well-known text")
    if len(part) > 1 and all(isinstance(each, int | float) for each in part):
        x, y = reversed(part[:2]) if crs.y_first else part[:2]
        (lon,), (lat,) = project_points([x], [y], crs.crs, CRS84.crs)
        return [lon, lat]
    return [_moved(each, crs, depth + 1) for each in part]


def _equal(name: str, about: dict[str, Any], text: str) -> dict[str, Any]:
    """What the parameter that is named as a property asks, in CQL2 JSON."""
    value: str | float | bool = text
    if about["type"] == "boolean":
        if text not in ("true", "false"):
            raise InvalidInput(f"{name} is {text[:80]!r}", "use true or false")
        value = text == "true"
    elif about["type"] in ("number", "integer"):
        try:
            value = float(text)
        except ValueError as error:
            raise InvalidInput(f"{name} is {text[:80]!r}", "give a number") from error
        if not math.isfinite(value):
            raise InvalidInput(f"{name} is {text[:80]!r}", "give a finite number")
    return {"op": "=", "args": [{"property": name}, value]}


def _sort(collection: str, text: str) -> tuple[SortField, ...]:
    fields = parse_sort(text)
    unknown = [field.name for field in fields if field.name not in ("id", *searched(collection))]
    if unknown:
        raise InvalidInput(f"sortby names {shown(unknown[0])}", f"use id, {', '.join(searched(collection))}")
    return fields


def _names(collection: str, given: dict[str, str]) -> tuple[str, ...] | None:
    if "properties" not in given:
        return None
    names = names_in(given["properties"], "properties")
    unknown = [name for name in names if name not in PROPERTIES[collection]]
    if unknown:
        raise InvalidInput(f"properties names {unknown[0][:80]!r}", f"use {', '.join(PROPERTIES[collection])}")
    return companions(names)

"""Where and when a collection has values, as its description says it: in degrees, in its own CRS, in time."""

from datetime import UTC, datetime
from typing import Any, Final

from cup4soil.grids import Bounds
from processors.coverage_catalog import Collection, CoverageCatalog
from processors.coverages import Coverage
from processors.crs import CRS84_URI, project_bounds, reference_of

GREGORIAN: Final = "http://www.opengis.net/def/uom/ISO-8601/0/Gregorian"


def extent_of(collection: Collection, catalog: CoverageCatalog) -> dict[str, Any]:
    """The extent of a collection over all its periods; ``grid`` is that of the latest. No raster is opened.

    ``bbox`` is in degrees, west first; ``storageCrsBbox`` follows the order of the axes of the collection's own CRS,
    and ``grid`` has its columns first, as ``bbox`` has.
    """
    stated = collection.document["extent"]
    series = catalog.series(collection.id)
    reference = reference_of(series[-1].crs)
    spatial = {
        "bbox": [stated["spatial"]["bbox"][0]],
        "crs": CRS84_URI,
        "storageCrsBbox": [list(reference.numbers(_together(series)))],
        "grid": _grid(series[-1]),
    }
    begin, end = stated["temporal"]["interval"][0]
    spans = [f"{_utc(each.period.start)}/{_utc(each.period.end)}" for each in series]
    temporal = {"interval": [[_stated(begin), _stated(end)]], "trs": GREGORIAN, "values": spans}
    return {"spatial": spatial, "temporal": temporal}


def _together(series: tuple[Coverage, ...]) -> Bounds:
    """The box of all periods in the CRS of the latest."""
    crs = series[-1].crs
    boxes = [box for each in series if (box := project_bounds(each.bounds, each.crs, crs)) is not None]
    lefts, bottoms, rights, tops = zip(*(box.astuple() for box in boxes), strict=True)
    return Bounds(min(lefts), min(bottoms), max(rights), max(tops))


def _grid(coverage: Coverage) -> list[dict[str, Any]]:
    (rows, cols), affine = coverage.grid.shape, coverage.grid.affine
    return [{"cellsCount": cols, "resolution": affine.a}, {"cellsCount": rows, "resolution": -affine.e}]


def _stated(text: str | None) -> str | None:
    return None if text is None else _utc(datetime.fromisoformat(text))


def _utc(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")

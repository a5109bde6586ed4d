"""What EDR adds to the descriptions of collections."""

from typing import Any, Final

from processors.coverage_catalog import Collection, CoverageCatalog
from processors.coverage_formats import COVERAGE_JSON, is_whole, parameter
from processors.crs import CRS84, Reference, project_points, reference_of
from processors.edr_query import PARAMETERS, WITHIN_UNITS

OUTPUTS: Final = ("CoverageJSON", "GeoJSON", "CSV")


def edr_members(collection: Collection, catalog: CoverageCatalog, address: str) -> dict[str, Any]:
    """What EDR adds to the description of a collection whose document is at ``address``. No raster is opened."""
    coverage = catalog.coverage(collection.id)
    native = reference_of(coverage.crs)
    systems = {CRS84.uri: CRS84, native.uri: native} if native.uri.startswith("http") else {CRS84.uri: CRS84}
    return {
        "data_queries": {kind: {"link": _query_link(kind, address, systems)} for kind in PARAMETERS},
        "parameter_names": {
            name: _plain(parameter(field)) | {"id": name, "data-type": "integer" if is_whole(field) else "float"}
            for name, field in coverage.fields.items()
        },
        "crs": list(systems),
        "storageCrs": native.uri,
        "output_formats": list(OUTPUTS),
    }


def edr_links(collection: Collection, catalog: CoverageCatalog, address: str) -> list[dict[str, str]]:
    """The link of rel ``data``: an example that can be followed, the values in the middle of the collection."""
    coverage = catalog.coverage(collection.id)
    left, bottom, right, top = coverage.bounds.astuple()
    (lon,), (lat,) = project_points([(left + right) / 2], [(bottom + top) / 2], coverage.crs, CRS84.crs)
    return [
        {
            "rel": "data",
            "type": COVERAGE_JSON,
            "title": "Values at a position (OGC API EDR), here in the middle",
            "href": f"{address}/position?coords=POINT({lon:.6f}%20{lat:.6f})",
        }
    ]


def _query_link(kind: str, address: str, systems: dict[str, Reference]) -> dict[str, Any]:
    variables: dict[str, Any] = {
        "title": f"Values by {kind}",
        "query_type": kind,
        "output_formats": list(OUTPUTS),
        "default_output_format": OUTPUTS[0],
        "crs_details": [{"crs": uri, "wkt": each.crs.to_wkt()} for uri, each in systems.items()],
    }
    if kind == "radius":
        variables["within_units"] = list(WITHIN_UNITS)
    if kind == "cube":
        # Demanded of every cube; there is no vertical axis.
        variables["height_units"] = []
    return {"href": f"{address}/{kind}", "rel": "data", "type": COVERAGE_JSON, "variables": variables}


def _plain(described: Any) -> Any:
    """A parameter of CoverageJSON with texts in place of texts by language: EDR's descriptions know one language."""
    if isinstance(described, dict):
        return described["en"] if described.keys() == {"en"} else {k: _plain(each) for k, each in described.items()}
    return [_plain(each) for each in described] if isinstance(described, list) else described

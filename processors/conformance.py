"""What of the OGC standards the service states to meet, part by part; docs/conformance.md has the reasons."""

from typing import Final

# Of each part the classes whose abstract tests stand in tests/conformance: nothing is stated that is not tested.
PARTS: Final[dict[str, tuple[str, ...]]] = {
    "ogcapi-common-1/1.0": ("core", "landing-page", "json", "html", "oas30"),
    "ogcapi-common-2/1.0": ("collections",),
    # The draft 19-087, under the names that its clients know and under those of its present state.
    "ogcapi-coverages-1/1.0": (
        "core", "subsetting", "subsetting-spatial", "subsetting-temporal", "scaling", "scaling-spatial",
        "fieldselection", "field-selection", "crs", "geotiff", "netcdf", "coveragejson", "html", "oas30",
        "api-operations",
    ),
    "ogcapi-edr-1/1.1": ("core", "collections", "queries", "json", "geojson", "covjson", "oas30"),
    "ogcapi-features-1/1.0": ("core", "geojson", "html", "oas30"),
    "ogcapi-features-2/1.0": ("crs",),
    "ogcapi-features-3/1.0": ("queryables", "queryables-query-parameters", "filter", "features-filter"),
    "cql2/1.0": (
        "cql2-text", "cql2-json", "basic-cql2", "advanced-comparison-operators", "basic-spatial-functions",
        "basic-spatial-functions-plus", "spatial-functions",
    ),
    "ogcapi-maps-1/1.0": ("core", "collection-map", "styled-map", "tilesets", "background", "crs", "datetime", "png"),
    "ogcapi-processes-1/1.0": ("core", "ogc-process-description", "json", "html", "oas30", "job-list", "dismiss"),
    "ogcapi-records-1/1.0": (
        "record-core", "record-collection", "record-core-query-parameters", "record-api", "searchable-catalog", "json",
    ),
    "ogcapi-tiles-1/1.0": ("core", "tileset", "tilesets-list", "geodata-tilesets", "png"),
    "tms/2.0": (
        "tilematrixset", "tilesetmetadata", "tilematrixsetlimits",
        "json-tilematrixset", "json-tilesetmetadata", "json-tilematrixsetlimits",
    ),
}  # fmt: skip


def classes_of(part: str) -> tuple[str, ...]:
    """The addresses of the classes of a part, such as ``ogcapi-edr-1/1.1``."""
    return tuple(f"http://www.opengis.net/spec/{part}/conf/{name}" for name in PARTS[part])


CLASSES: Final = tuple(uri for part in PARTS for uri in classes_of(part))

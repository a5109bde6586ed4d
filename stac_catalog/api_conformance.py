"""Conformance classes of the STAC API's extensions, where they are others than those that stac-fastapi names."""

from typing import Final

_STAC: Final = "https://api.stacspec.org"
_OGC: Final = "http://www.opengis.net/spec"

FILTER: Final = (
    f"{_OGC}/ogcapi-features-3/1.0/conf/filter",
    f"{_OGC}/ogcapi-features-3/1.0/conf/features-filter",
    f"{_STAC}/v1.0.0-rc.2/item-search#filter",
    *(
        f"{_OGC}/cql2/1.0/conf/{name}"
        for name in (
            "cql2-text", "cql2-json", "basic-cql2", "advanced-comparison-operators", "basic-spatial-functions",
            "basic-spatial-functions-plus", "spatial-functions",
        )
    ),
)  # fmt: skip
FIELDS: Final = (f"{_STAC}/v1.0.0/item-search#fields", f"{_STAC}/v1.0.0/ogcapi-features#fields")
QUERY: Final = (f"{_STAC}/v1.0.0/item-search#query", f"{_STAC}/v1.0.0/ogcapi-features#query")
FREE_TEXT: Final = (f"{_STAC}/v1.0.0-rc.1/item-search#free-text", f"{_STAC}/v1.0.0-rc.1/ogcapi-features#free-text")
# Clients look for 1.0.0, where a field is written in the same way; sortables are of 1.1.0.
SORT: Final = (
    f"{_STAC}/v1.0.0/item-search#sort",
    f"{_STAC}/v1.0.0/ogcapi-features#sort",
    f"{_STAC}/v1.1.0/item-search#sort",
    f"{_STAC}/v1.1.0/ogcapi-features#sort",
    f"{_STAC}/v1.1.0/item-search#sortables",
    f"{_STAC}/v1.1.0/ogcapi-features#sortables",
    f"{_STAC}/v1.1.0/collection-search#sort",
    f"{_STAC}/v1.1.0/collection-search#sortables",
)
COLLECTION_SEARCH: Final = (
    f"{_OGC}/ogcapi-common-2/1.0/conf/simple-query",
    f"{_STAC}/v1.0.0-rc.1/collection-search",
    *(f"{_STAC}/v1.0.0-rc.1/collection-search#{name}" for name in ("free-text", "query", "filter", "fields")),
)

"""The coverages of a store as a provider plugin of pygeoapi, so that the plain server serves them."""

from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from pygeoapi.provider.base import (
    BaseProvider,
    ProviderConnectionError,
    ProviderInvalidQueryError,
    ProviderItemNotFoundError,
    ProviderNoDataError,
    ProviderRequestEntityTooLargeError,
)

from cup4soil.errors import Cup4soilError, InvalidInput, LimitExceeded, NoData, NotFound
from processors.coverage_catalog import catalog_of
from processors.coverage_formats import axis_names, coverage_json_document, geotiff, schema_document
from processors.coverage_query import parse_query
from processors.coverage_reader import CoverageReader
from processors.coverage_settings import CoverageSettings
from processors.coverages import Coverage
from processors.crs import reference_of

# The nearest entry along an error's ancestry counts; each class carries its HTTP status.
_ERRORS: dict[type[Cup4soilError], Any] = {
    NotFound: ProviderItemNotFoundError,
    InvalidInput: ProviderInvalidQueryError,
    NoData: ProviderNoDataError,
    LimitExceeded: ProviderRequestEntityTooLargeError,
    Cup4soilError: ProviderConnectionError,
}


class CoverageProvider(BaseProvider):  # type: ignore[misc]
    """One collection of a store. pygeoapi makes a provider for each request: what is costly is kept elsewhere.

    ``data`` is the folder of the store, ``collection`` the collection's id.
    """

    def __init__(self, provider_def: Mapping[str, Any]) -> None:
        super().__init__(provider_def)
        self._collection = str(provider_def["collection"])
        try:
            self._reader = _reader_of(Path(self.data))
            coverage = self._reader.catalog.coverage(self._collection)
        except Cup4soilError as error:
            raise _translated(error) from error
        self._coverage_properties = _properties(coverage)
        self._fields: dict[str, Any] = schema_document(coverage)["properties"]
        self.axes = self._coverage_properties["axes"]
        self.crs = self._coverage_properties["bbox_crs"]
        self.num_bands = len(self._fields)

    def get_fields(self) -> dict[str, Any]:
        """Fields by name, as JSON schema."""
        return self._fields

    def query(
        self,
        properties: Sequence[str] = (),
        subsets: Mapping[str, Sequence[Any]] | None = None,
        bbox: Sequence[float] = (),
        bbox_crs: Any = None,
        datetime_: str | None = None,
        format_: str = "json",
        **_: Any,
    ) -> Any:
        """CoverageJSON as a dictionary, or the bytes of a GeoTIFF.

        Raises:
            ProviderGenericError: of the class that has the right HTTP status.
        """
        pairs = list(_parameters(properties, subsets or {}, bbox, bbox_crs, datetime_))
        try:
            as_json = format_.lower() != "gtiff"
            limit = self._reader.limits.json_values if as_json else None
            answer = self._reader.read(self._collection, parse_query(pairs), limit=limit)
        except Cup4soilError as error:
            raise _translated(error) from error
        self.filename = f"{self._collection}.tif"
        return coverage_json_document((answer,)) if as_json else geotiff(answer)


@lru_cache(maxsize=8)
def _reader_of(root: Path) -> CoverageReader:
    return CoverageReader(catalog_of(root), CoverageSettings().coverage_limits)


def _properties(coverage: Coverage) -> dict[str, Any]:
    """What pygeoapi tells of a coverage in its collection."""
    reference, grid = reference_of(coverage.crs), coverage.grid
    x_name, y_name = axis_names(reference)
    return {
        "bbox": list(coverage.bounds.astuple()),
        "bbox_crs": reference.uri,
        "axes": [x_name, y_name, "time"],
        "x_axis_label": x_name,
        "y_axis_label": y_name,
        "width": grid.shape[1],
        "height": grid.shape[0],
        "resx": grid.affine.a,
        "resy": -grid.affine.e,
    }


def _parameters(
    properties: Sequence[str],
    subsets: Mapping[str, Sequence[Any]],
    bbox: Sequence[float],
    bbox_crs: Any,
    datetime_: str | None,
) -> Any:
    """What pygeoapi took apart, put together again as the query that our own reader checks."""
    if properties:
        yield "properties", ",".join(properties)
    for name, ends in subsets.items():
        yield "subset", f"{name}({':'.join(str(end) for end in ends)})"
    if bbox:
        yield "bbox", ",".join(repr(float(value)) for value in bbox)
    if bbox_crs is not None:
        yield "bbox-crs", f"EPSG:{bbox_crs}" if str(bbox_crs).isdigit() else str(bbox_crs)
    if datetime_ is not None:
        yield "datetime", datetime_


def _translated(error: Cup4soilError) -> Exception:
    kind = next(_ERRORS[each] for each in type(error).__mro__ if each in _ERRORS)
    translated: Exception = kind(str(error), user_msg=str(error))
    return translated

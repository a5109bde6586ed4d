"""The record of a product: what it is, where, when, made how and from what, and how good.

STAC, ISO 19115, DCAT and the OGC collections are projections of this one record.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal, Self

from odc.geo.geobox import GeoBox
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from cup4soil.areas import WGS84, footprint
from cup4soil.errors import NotFound, StoreError, reading
from cup4soil.grids import Bounds, crs_code, crs_of

RECORD_FILE = "product.json"
COG_MEDIA_TYPE = "image/tiff; application=geotiff; profile=cloud-optimized"
# What a map is called where its bootstrap shows no skill; a record that hides it is none.
NO_SKILL = "no skill shown"
NO_SKILL_NOTE = (
    "No skill was shown: the 90 % interval of the model efficiency (MEC) in spatial validation reaches below 0.05, so"
    " away from samples the map may be no better than the mean of all samples."
)
# The figure that decides it, and its limit.
MEC_LOWER_END = "MEC, lower end of its 90 % interval"
LEAST_MEC = 0.05
type Verdict = Literal["skill", "no-skill"]
type ProductKind = Literal["composite", "index", "thresholds", "terrain", "soil-map", "model", "samples"]
type SourceRole = Literal["scene", "samples", "covariate", "model", "threshold", "land-cover", "composite", "index"]


class Frozen(BaseModel):
    """Base of the record's parts: immutable, and strict about unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Band(Frozen):
    """One band of a raster layer, in file order. ``unit`` is the unit of scaled values.

    ``scale`` stands before the layer's own where bands of one file differ.
    """

    name: str
    description: str = ""
    unit: str = "1"
    scale: float | None = None
    common_name: str | None = None
    center_wavelength_um: float | None = None


class Statistics(Frozen):
    """Statistics of a layer's first band over its valid cells, scaled."""

    minimum: float
    maximum: float
    mean: float
    stddev: float
    valid_percent: float = Field(ge=0, le=100)


class Layer(Frozen):
    """A raster file of a product. value = stored * ``scale`` + ``offset`` where stored != ``nodata``."""

    name: str
    title: str
    description: str
    file: str
    bands: tuple[Band, ...] = Field(min_length=1)
    dtype: Literal["int16", "uint8"] = "int16"
    nodata: int
    scale: float = 1.0
    offset: float = 0.0
    roles: tuple[str, ...] = ("data",)
    categories: Mapping[int, str] | None = None
    statistics: Statistics | None = None

    def scale_of(self, band: int) -> float:
        """Scale of the band at this position, counted from 0."""
        own = self.bands[band].scale
        return self.scale if own is None else own


class Document(Frozen):
    """A file of a product that is no raster: a report, the lineage, a model."""

    name: str
    title: str
    file: str
    media_type: str
    roles: tuple[str, ...] = ("metadata",)


class Source(Frozen):
    """Something the product was made from. ``version`` and ``checksum`` tell one state of it from another."""

    role: SourceRole
    id: str
    title: str = ""
    href: str | None = None
    version: str | None = None
    checksum: str | None = None
    licence: str | None = None
    attribution: str | None = None
    properties: Mapping[str, Any] = Field(default_factory=dict)

    def identity(self) -> dict[str, Any]:
        """What of the source decides the product's identity: content and terms of use, not where it happened to lie."""
        names = ("role", "id", "version", "checksum", "licence", "attribution")
        return {name: getattr(self, name) for name in names}


class Algorithm(Frozen):
    """How the product was made. ``references`` are citations with their DOI where there is one."""

    name: str
    version: str
    title: str
    description: str
    parameters: Mapping[str, Any]
    references: tuple[str, ...] = ()


class Measure(Frozen):
    """One figure of quality. ``support`` says what it was measured on."""

    name: str
    value: float
    unit: str
    description: str
    support: str


class Period(Frozen):
    """Closed interval of time the product speaks of, in UTC."""

    start: datetime
    end: datetime

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise ValueError("a period needs times with a zone")
        if self.start > self.end:
            raise ValueError(f"period starts {self.start} after its end {self.end}")
        return self


class Extent(Frozen):
    """Where: a footprint in WGS 84 and, for rasters, the grid. ``transform`` has six numbers, row by row."""

    geometry: Mapping[str, Any]
    bbox: tuple[float, float, float, float]
    crs: str | None = None
    shape: tuple[int, int] | None = None
    transform: tuple[float, float, float, float, float, float] | None = None
    grid_bbox: tuple[float, float, float, float] | None = None

    @classmethod
    def of_grid(cls, geobox: GeoBox) -> Self:
        """Extent of a raster on ``geobox``."""
        left, bottom, right, top = geobox.boundingbox.bbox
        geometry = footprint(Bounds(left, bottom, right, top), crs_of(geobox))
        a, b, c, d, e, f = tuple(geobox.affine)[:6]
        return cls(
            geometry=geometry,
            bbox=_bbox(geometry),
            crs=crs_code(crs_of(geobox)),
            shape=(geobox.shape[0], geobox.shape[1]),
            transform=(a, b, c, d, e, f),
            grid_bbox=(left, bottom, right, top),
        )

    @classmethod
    def of_bounds(cls, bounds: Bounds) -> Self:
        """Extent of something that is no raster, from a box in WGS 84."""
        geometry = footprint(bounds, WGS84)
        return cls(geometry=geometry, bbox=_bbox(geometry))

    @property
    def resolution_m(self) -> float | None:
        """Edge of a cell in units of the CRS, None without a grid."""
        return None if self.transform is None else abs(self.transform[0])


class ProductRecord(Frozen):
    """Everything the service knows of one product; files are named relative to the product's folder.

    ``verdict`` says of a soil map or a model whether spatial validation showed any skill. Where it did not, the title
    and the limitations say so too, and a figure :data:`MEC_LOWER_END` below 0.05 without that label is refused.
    """

    id: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    collection: str = Field(pattern=r"^[a-z0-9][a-z0-9._-]*$")
    kind: ProductKind
    title: str
    abstract: str
    keywords: tuple[str, ...] = ()
    property_code: str | None = None
    depth: str | None = None
    period: Period
    extent: Extent
    algorithm: Algorithm
    sources: tuple[Source, ...]
    quality: tuple[Measure, ...] = ()
    licence: str
    attribution: tuple[str, ...] = ()
    simulated: bool = False
    verdict: Verdict | None = None
    limitations: tuple[str, ...] = ()
    layers: tuple[Layer, ...] = ()
    documents: tuple[Document, ...] = ()
    created: datetime = Field(default_factory=lambda: datetime.now(UTC).replace(microsecond=0))

    @model_validator(mode="after")
    def _labelled(self) -> Self:
        unskilled = any(each.name == MEC_LOWER_END and each.value < LEAST_MEC for each in self.quality)
        if unskilled and self.verdict != "no-skill":
            raise ValueError("a product without skill does not say so: its verdict has to be no-skill")
        if self.verdict == "no-skill" and not (NO_SKILL in self.title and NO_SKILL_NOTE in self.limitations):
            raise ValueError(f"a product without skill needs {NO_SKILL!r} in its title, and the note among its limits")
        return self

    @property
    def files(self) -> tuple[str, ...]:
        """All files of the product, relative to its folder."""
        return tuple(layer.file for layer in self.layers) + tuple(document.file for document in self.documents)

    def layer(self, name: str) -> Layer:
        """The layer of this name.

        Raises:
            NotFound: when there is none.
        """
        for layer in self.layers:
            if layer.name == name:
                return layer
        raise NotFound(
            f"product {self.id} has no layer {name!r}", f"use one of {', '.join(x.name for x in self.layers)}"
        )

    def write(self, folder: Path) -> Path:
        """Write the record as ``product.json`` into ``folder`` and return its path."""
        path = folder / RECORD_FILE
        path.write_text(self.model_dump_json(indent=1, exclude_none=True) + "\n", encoding="utf-8")
        return path


def read_record(folder: Path) -> ProductRecord:
    """The record in ``folder``.

    Raises:
        NotFound: when there is none.
        StoreError: when it is damaged or must not be read.
    """
    path = folder / RECORD_FILE
    with reading(path, StoreError):
        if not path.is_file():
            raise NotFound(f"no product in {folder}", f"give a folder that holds {RECORD_FILE}")
        content = path.read_bytes()
    try:
        return ProductRecord.model_validate_json(content)
    except ValidationError as error:
        raise StoreError(f"{path} is damaged: {first_problem(error)}", "make the product again") from error


def labelled(title: str, verdict: Verdict | None) -> str:
    """The title with the label of a product without skill."""
    return f"{title} ({NO_SKILL})" if verdict == "no-skill" and NO_SKILL not in title else title


def first_problem(error: ValidationError) -> str:
    """The first thing wrong with a document, in one line: ``extent.bbox: Field required``."""
    first = error.errors(include_url=False)[0]
    where = ".".join(str(part) for part in first["loc"])
    return f"{where}: {first['msg']}" if where else first["msg"]


def product_id(prefix: str, algorithm: Algorithm, sources: Iterable[Source]) -> str:
    """Id of the product that ``algorithm`` makes of ``sources``: ``prefix`` and 12 hex digits.

    The hash covers algorithm name, version and parameters and the identities of the sources in any
    order, so that a rerun finds its own result, in any store and on any machine.
    """
    identities = sorted(_canonical(source.identity()) for source in sources)
    origin = {
        "algorithm": algorithm.name,
        "version": algorithm.version,
        "parameters": algorithm.parameters,
        "sources": identities,
    }
    return f"{prefix}-{hashlib.sha256(_canonical(origin).encode()).hexdigest()[:12]}"


def file_checksum(path: Path) -> str:
    """``sha256:...`` of a file's content, read in pieces.

    Raises:
        InvalidInput: when it cannot be read.
    """
    with reading(path), path.open("rb") as stream:
        return f"sha256:{hashlib.file_digest(stream, 'sha256').hexdigest()}"


def _canonical(value: object) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), default=str)


def _bbox(geometry: Mapping[str, Any]) -> tuple[float, float, float, float]:
    ring = geometry["coordinates"][0]
    xs, ys = [point[0] for point in ring], [point[1] for point in ring]
    return (min(xs), min(ys), max(xs), max(ys))

"""Predicting a soil map over an area: the grid, the blocks and the record.

The batch run and the services plan with :func:`plan_map`, so that they give the same cells and pixels.
"""

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import shapely
from numpy.typing import NDArray
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from shapely.geometry import box
from shapely.geometry.base import BaseGeometry

from cup4soil.areas import box_area, project
from cup4soil.errors import InvalidArea, LimitExceeded, NoData, NotFound
from cup4soil.grids import Bounds, Window, blocks, crs_code, crs_of
from cup4soil.licences import derived_licence
from cup4soil.products import Algorithm, Extent, Layer, Measure, Period, ProductRecord, Source, product_id
from cup4soil.progress import Progress
from cup4soil.rasters.covariates import CovariateStack
from cup4soil.rasters.masks import cells_inside
from cup4soil.rasters.writing import LayerWriter
from cup4soil.settings import Settings
from cup4soil.soil_maps import AOA_NODATA, QUANTILES, predict_block, restored, soil_map_layers
from cup4soil.soil_models import UNDATED, SoilModel

_VERSION = "1.0"
_LEAST_BLOCK, _LARGEST_BLOCK = 64, 2048
# Beside covariates and features: predictions, quantiles, index, flags and the layers' integers.
_BYTES_PER_CELL = 160

type Stored = Mapping[str, NDArray[np.integer]]
# A window, the stored integers of all layers there, and the number of its cells that were asked for.
type Watch = Callable[[Window, Stored, int], None]


@dataclass(frozen=True, slots=True)
class AreaOfInterest:
    """Where to map. Of a polygon the cells whose centre lies in it, of a box all cells that it touches."""

    geometry: BaseGeometry
    crs: CRS
    masks: bool

    @classmethod
    def of_box(cls, bounds: Bounds, crs: CRS) -> Self:
        """All cells that a box touches."""
        return cls(box_area(bounds, crs), crs, masks=False)

    @classmethod
    def of_polygon(cls, geometry: BaseGeometry, crs: CRS) -> Self:
        """The cells whose centre lies in a polygon or several."""
        return cls(geometry, crs, masks=True)

    def on(self, geobox: GeoBox) -> "Crop":
        """The part of a grid under this area.

        Raises:
            InvalidArea: when it lies outside, or where the grid's CRS does not reach.
        """
        geometry = project(self.geometry, self.crs, crs_of(geobox))
        cropped = _cropped(geobox, geometry)
        return Crop(cropped, geometry if self.masks else None, _uncovered_percent(geometry, geobox))


@dataclass(frozen=True, slots=True)
class Crop:
    """A part of a grid: ``mask`` (in its CRS) where cells outside are not mapped, and what of the area lies off it."""

    geobox: GeoBox
    mask: BaseGeometry | None = None
    uncovered_percent: float = 0.0

    @property
    def cells(self) -> int:
        """Cells of the grid, masked ones included."""
        return int(self.geobox.shape[0] * self.geobox.shape[1])


@dataclass
class _Tally:
    """Cells counted while the map is written."""

    asked: int = 0
    mapped: int = 0
    inside: int = 0

    def add(self, aoa: NDArray[np.integer], asked: int) -> None:
        self.asked += asked
        self.mapped += int(np.sum(aoa != AOA_NODATA))
        self.inside += int(np.sum(aoa == 1))


@dataclass(frozen=True)
class SoilMapPlan:
    """A planned map; see :func:`plan_map`. ``period`` and ``title`` stand before those of its sources."""

    settings: Settings
    model: SoilModel
    stack: CovariateStack
    crop: Crop
    sources: tuple[Source, ...]
    licence: str
    period: Period | None = None
    title: str | None = None

    @property
    def collection(self) -> str:
        """Collection of the property and depth."""
        return self.model.collection

    @cached_property
    def algorithm(self) -> Algorithm:
        """The method with all parameters that decide the result."""
        geobox, mask, period = self.crop.geobox, self.crop.mask, self.period
        transform = list(geobox.affine)[:6]
        return Algorithm(
            name="soil-map-prediction",
            version=_VERSION,
            title="Prediction with a quantile regression forest",
            description="Each cell gets mean and quantiles from the forest, and its dissimilarity to the samples.",
            parameters={
                "quantiles": list(QUANTILES),
                "shape": list(geobox.shape),
                "transform": [round(value, 6) for value in transform],
                "crs": crs_code(crs_of(geobox)),
                "area": None if mask is None else _fingerprint(mask),
                "period": None if period is None else period.model_dump(mode="json"),
                "licence": self.licence,
            },
            references=self.model.record.algorithm.references,
        )

    @cached_property
    def id(self) -> str:
        """Identity of the map."""
        return product_id(self.collection, self.algorithm, self.sources)

    @property
    def block_size(self) -> int:
        """Edge of a block in cells that keeps a block within the memory set for it."""
        description = self.model.description
        per_cell = _BYTES_PER_CELL + 8 * len(description.covariates) + 28 * len(description.features)
        edge = int(math.sqrt(self.settings.block_memory_mib * 2**20 / per_cell))
        return max(_LEAST_BLOCK, min(_LARGEST_BLOCK, edge // _LEAST_BLOCK * _LEAST_BLOCK))

    def run(self, folder: Path, progress: Progress) -> ProductRecord:
        """Write each layer of the map as a file of its own into ``folder``.

        Raises:
            NoData: when no cell has all covariates.
        """
        layers = soil_map_layers(self.model.soil_property, self.model.description.depth)
        return self.write(tuple(layers.values()), folder, progress)

    def write(
        self,
        layers: Sequence[Layer],
        folder: Path,
        progress: Progress,
        *,
        watch: Watch | None = None,
        tags: Mapping[str, str] | None = None,
    ) -> ProductRecord:
        """Write ``layers``, whose bands are named as the layers of a soil map, into ``folder``.

        ``watch`` sees every block; ``tags`` go into the metadata of the files.

        Raises:
            NoData: when no cell has all covariates.
        """
        geobox = self.crop.geobox
        windows = list(blocks((geobox.shape[0], geobox.shape[1]), self.block_size))
        tally = _Tally()
        with ExitStack() as stack:
            writers = [stack.enter_context(LayerWriter(folder, layer, geobox, tags)) for layer in layers]
            with progress.step("Predicting", len(windows)) as advance:
                for window in windows:
                    stored, asked = self._block(window)
                    tally.add(stored["aoa"], asked)
                    for writer in writers:
                        writer.write(window, restored(stored, writer.layer))
                    if watch is not None:
                        watch(window, stored, asked)
                    advance()
            if not tally.mapped:
                raise NoData("no cell of the area has all covariates", "choose another area, or fill the covariates")
        return self._record(tuple(writer.layer for writer in writers), tally)

    def _block(self, window: Window) -> tuple[Stored, int]:
        geobox = window.of(self.crop.geobox)
        covariates = self.stack.read(geobox)
        inside = None if self.crop.mask is None else cells_inside(self.crop.mask, geobox)
        if inside is not None:
            covariates[:, ~inside] = np.nan
        stored = predict_block(self.model, self._ordered(covariates), threads=self.settings.threads)
        return stored, window.height * window.width if inside is None else int(inside.sum())

    def _ordered(self, covariates: NDArray[np.float32]) -> NDArray[np.float32]:
        """Covariates in the model's order."""
        position = {name: index for index, name in enumerate(self.stack.names)}
        return covariates[[position[name] for name in self.model.description.covariates]]

    def _record(self, layers: tuple[Layer, ...], tally: _Tally) -> ProductRecord:
        model, prop = self.model.record, self.model.soil_property
        depth = self.model.description.depth
        subject = prop.title if depth is None else f"{prop.title} at {depth.upper_cm:g}-{depth.lower_cm:g} cm"
        inside = 100.0 * tally.inside / tally.mapped
        simulated = model.simulated or self.stack.simulated
        told = " The covariates are simulated: the map shows no real place." if simulated else ""
        return ProductRecord(
            id=self.id,
            collection=self.collection,
            kind="soil-map",
            title=self.title or (f"{subject} of a simulated landscape" if simulated else subject),
            abstract=f"{subject} ({prop.unit}) with its 90 % prediction interval and area of applicability,"
            f" predicted by {model.id}. {model.abstract}{told}",
            keywords=("soil", "digital soil mapping", "uncertainty", "area of applicability", prop.title.lower()),
            property_code=model.property_code,
            depth=None if depth is None else str(depth),
            period=self.period or self.stack.period or model.period,
            extent=Extent.of_grid(self.crop.geobox),
            algorithm=self.algorithm,
            sources=self.sources,
            quality=(*model.quality, *_shares(tally)),
            licence=self.licence,
            attribution=tuple(dict.fromkeys(source.attribution for source in self.sources if source.attribution)),
            simulated=simulated,
            limitations=(*self._limitations(inside, prop.ratio_scale), *self._inherited()),
            layers=layers,
        )

    def _inherited(self) -> list[str]:
        """The model's limitations; that it is undated does not concern a map with a time of its own."""
        dated = self.period is not None or self.stack.period is not None
        return [note for note in self.model.record.limitations if not (dated and note == UNDATED)]

    def _limitations(self, inside_percent: float, ratio_scale: bool) -> list[str]:
        notes = []
        if inside_percent < 100:
            notes.append(
                f"{100 - inside_percent:.3g} % of the mapped cells lie outside the area of applicability (aoa = 0):"
                " neither their values nor their intervals should be relied on."
            )
        if self.crop.uncovered_percent > 0:
            notes.append(
                f"{self.crop.uncovered_percent:.3g} % of the area asked for lie outside the covariates and are not"
                " mapped."
            )
        if not ratio_scale:
            notes.append("The relative uncertainty says little for a property without a natural zero; use pi90.")
        if self.period is None and self.stack.period is None:
            notes.append("The covariates state no time; the period given is that of the model.")
        return notes


def plan_map(
    model: SoilModel,
    stack: CovariateStack,
    area: AreaOfInterest | None,
    settings: Settings,
    *,
    period: Period | None = None,
    title: str | None = None,
) -> SoilMapPlan:
    """Plan the map of ``model`` over ``area``, or over all of the covariates; nothing is predicted yet.

    Raises:
        NotFound: when a covariate of the model is missing.
        InvalidArea: when the area lies outside the covariates.
        LimitExceeded: when the grid is too large.
        LicenceConflict: when the licences of model and covariates cannot be combined.
    """
    chosen = _covariates(stack, model)
    crop = Crop(chosen.geobox) if area is None else area.on(chosen.geobox)
    if crop.cells > settings.max_cells:
        raise LimitExceeded(
            f"a map of {crop.cells} cells is larger than the limit of {settings.max_cells}",
            "choose a smaller area, or raise CUP4SOIL_MAX_CELLS",
        )
    sources = (_model_source(model), *(s for s in model.record.sources if s.role == "samples"), *chosen.sources())
    licence = derived_licence([source.licence for source in sources], settings.data_policy)
    return SoilMapPlan(settings, model, chosen, crop, sources, licence, period, title)


def _covariates(stack: CovariateStack, model: SoilModel) -> CovariateStack:
    """The covariates of the model among those given; its classes stay classes."""
    needed = model.description.covariates
    missing = [name for name in needed if name not in stack.names]
    if missing:
        raise NotFound(
            f"the model needs {len(missing)} covariates that are not given: {', '.join(missing[:5])}",
            f"give rasters of these names; there are {', '.join(stack.names)}",
        )
    chosen = stack.select(needed)
    return replace(chosen, categorical=chosen.categorical | set(model.description.levels))


def _cropped(geobox: GeoBox, area: BaseGeometry) -> GeoBox:
    """The cells of ``geobox`` that the bounds of ``area`` touch."""
    left, bottom, right, top = area.bounds
    own, slack = geobox.affine, 1e-6
    rows = _clipped((top - own.f) / own.e + slack, (bottom - own.f) / own.e - slack, geobox.shape[0])
    cols = _clipped((left - own.c) / own.a + slack, (right - own.c) / own.a - slack, geobox.shape[1])
    if rows[0] >= rows[1] or cols[0] >= cols[1]:
        extent = ", ".join(f"{value:.6g}" for value in geobox.boundingbox.bbox)
        raise InvalidArea(
            "the area lies outside the covariates",
            f"they cover {extent} (left, bottom, right, top) in {crs_code(crs_of(geobox))}",
        )
    return geobox[rows[0] : rows[1], cols[0] : cols[1]]


def _clipped(first: float, last: float, size: int) -> tuple[int, int]:
    return max(0, math.floor(first)), min(size, math.ceil(last))


def _uncovered_percent(asked: BaseGeometry, geobox: GeoBox) -> float:
    covered = float(asked.intersection(box(*geobox.boundingbox.bbox)).area)
    share = 100.0 * (1.0 - covered / float(asked.area))
    # Less than this is rounding of the projected edges.
    return share if share > 1e-6 else 0.0


def _model_source(model: SoilModel) -> Source:
    # The bytes of a model may differ between machines; its id tells what it was made from, so that alone
    # is its identity, and the checksum is given for reference.
    record = model.record
    return Source(
        role="model",
        id=record.id,
        title=record.title,
        version=record.algorithm.version,
        licence=record.licence,
        attribution="; ".join(record.attribution) or None,
        properties={"collection": record.collection, "checksum": model.description.arrays_checksum},
    )


def _shares(tally: _Tally) -> tuple[Measure, ...]:
    return (
        Measure(
            name="Mapped",
            value=round(100.0 * tally.mapped / tally.asked, 4),
            unit="%",
            description="Share of the cells that have all covariates.",
            support=f"{tally.asked} cells of the area",
        ),
        Measure(
            name="Inside the area of applicability",
            value=round(100.0 * tally.inside / tally.mapped, 4),
            unit="%",
            description="Share of the mapped cells whose covariates are like those of the samples.",
            support=f"{tally.mapped} mapped cells",
        ),
    )


def _fingerprint(area: BaseGeometry) -> dict[str, Any]:
    """An area by its bounds and a hash of its outline, to a millimetre."""
    outline = shapely.to_wkb(shapely.normalize(shapely.set_precision(area, 1e-3)), output_dimension=2)
    return {"bounds": [round(value, 3) for value in area.bounds], "sha256": hashlib.sha256(outline).hexdigest()}

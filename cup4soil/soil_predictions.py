"""Predicting soil maps over an area: what is planned, the blocks and the record.

The batch run and the services plan with :func:`plan_maps`, so that they give the same cells and pixels. One model may
give several maps, one for each of its properties and depths; the properties of a block come from one walk through its
trees.
"""

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from shapely.geometry.base import BaseGeometry

from cup4soil.depths import Depth
from cup4soil.errors import LimitExceeded, NoData, NotFound
from cup4soil.grids import Window, blocks, crs_code, crs_of
from cup4soil.licences import derived_licence
from cup4soil.products import (
    NO_SKILL_NOTE,
    Algorithm,
    Extent,
    Layer,
    Measure,
    Period,
    ProductRecord,
    Source,
    labelled,
    product_id,
)
from cup4soil.progress import Progress
from cup4soil.properties import SoilProperty, property_codes
from cup4soil.rasters.covariates import CovariateStack
from cup4soil.rasters.writing import LayerWriter
from cup4soil.settings import Settings
from cup4soil.soil_areas import AreaOfInterest, Crop
from cup4soil.soil_blocks import MapKey, MapTask, block_size, predict_window
from cup4soil.soil_maps import AOA_NODATA, QUANTILES, Stored, map_layers, restored, subject
from cup4soil.soil_models import UNDATED, SoilModel, collection_name
from cup4soil.soil_outputs import OutputDescription

_VERSION = "2.0"

# A window, the stored integers of all layers there, and the number of its cells that were asked for.
type Watch = Callable[[Window, Stored, int], None]
# Gives the stored integers and the number of cells asked for of each window, in their order.
type Parts = Callable[[Sequence[Window]], Iterable[tuple[Stored, int]]]


@dataclass
class Tally:
    """Cells counted while a map is put together."""

    asked: int = 0
    mapped: int = 0
    inside: int = 0

    def add(self, aoa: NDArray[np.integer], asked: int) -> None:
        """Take in a block: its area of applicability, and how many of its cells were asked for."""
        self.asked += asked
        self.mapped += int(np.sum(aoa != AOA_NODATA))
        self.inside += int(np.sum(aoa == 1))

    def check(self) -> None:
        """Refuse a map without a cell.

        Raises:
            NoData: when no cell has all covariates.
        """
        if not self.mapped:
            raise NoData("no cell of the area has all covariates", "choose another area, or fill the covariates")


@dataclass(frozen=True)
class SoilMapPlan:
    """A planned map of one property and depth; see :func:`plan_map`.

    ``period`` and ``title`` stand before those of its sources.
    """

    settings: Settings
    model: SoilModel
    stack: CovariateStack
    crop: Crop
    sources: tuple[Source, ...]
    licence: str
    code: str
    depth: Depth | None
    period: Period | None = None
    title: str | None = None

    @property
    def key(self) -> MapKey:
        """Which of the model's maps this is."""
        return self.code, self.depth

    @property
    def output(self) -> OutputDescription:
        """What the model says of the property."""
        return self.model.output(self.code)

    @property
    def soil_property(self) -> SoilProperty:
        """What is mapped."""
        return self.output.soil_property.to_property()

    @property
    def collection(self) -> str:
        """Collection of the property and depth."""
        return collection_name(self.code, self.depth)

    @property
    def layers(self) -> tuple[Layer, ...]:
        """The layers of the map, in the order in which they are written."""
        return tuple(map_layers(self.model, self.code, self.depth).values())

    @cached_property
    def algorithm(self) -> Algorithm:
        """The method with all parameters that decide the result."""
        geobox, mask, period = self.crop.geobox, self.crop.mask, self.period
        transform = list(geobox.affine)[:6]
        return Algorithm(
            name="soil-map-prediction",
            version=_VERSION,
            title="Prediction with a quantile regression forest",
            description="Each cell gets mean and quantiles from the forest, calibrated where the model is, and its"
            " dissimilarity to the samples.",
            parameters={
                "property": self.code,
                "depth": None if self.depth is None else str(self.depth),
                "quantiles": list(QUANTILES),
                "calibrated": self.output.calibrated,
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

    def write(
        self,
        layers: Sequence[Layer],
        folder: Path,
        progress: Progress,
        *,
        watch: Watch | None = None,
        tags: Mapping[str, str] | None = None,
        edge: int | None = None,
        parts: Parts | None = None,
    ) -> ProductRecord:
        """Predict and write ``layers``, whose bands are those of a soil map, into ``folder``.

        ``watch`` sees every block; ``tags`` go into the metadata of the files. Blocks have an ``edge`` of so many cells
        at most and are computed in this process, or where ``parts`` has them from.

        Raises:
            NoData: when no cell has all covariates.
        """
        geobox = self.crop.geobox
        largest = block_size(self._reporting, 1, self.settings)
        windows = list(blocks((geobox.shape[0], geobox.shape[1]), min(largest, edge or largest)))
        found = (self._block(window.of(geobox)) for window in windows) if parts is None else parts(windows)
        tally = Tally()
        with ExitStack() as stack:
            writers = [stack.enter_context(LayerWriter(folder, layer, geobox, tags)) for layer in layers]
            with progress.step("Predicting", len(windows)) as advance:
                for window, (stored, asked) in zip(windows, found, strict=True):
                    tally.add(stored["aoa"], asked)
                    for writer in writers:
                        writer.write(window, restored(stored, writer.layer))
                    if watch is not None:
                        watch(window, stored, asked)
                    advance()
            tally.check()
        return self.record(tuple(writer.layer for writer in writers), tally)

    @cached_property
    def _reporting(self) -> SoilModel:
        """The model, reporting this property alone."""
        return self.model.only((self.code,))

    def _block(self, geobox: GeoBox) -> tuple[Stored, int]:
        """The layers on a part of the grid, and how many of its cells were asked for."""
        maps, asked = predict_window(
            self._reporting, self.stack, geobox, self.crop.mask, (self.depth,), self.settings.threads
        )
        return maps[self.key], asked

    def task(self, model: Path) -> MapTask:
        """What another process needs to compute blocks, with the model that lies in the folder ``model``."""
        return MapTask(
            model=model.resolve(),
            checksum=self.model.description.arrays_checksum,
            stack=self.stack.resolved(),
            geobox=self.crop.geobox,
            mask=self.crop.mask,
            key=self.key,
            threads=self.settings.threads,
        )

    def record(self, layers: tuple[Layer, ...], tally: Tally) -> ProductRecord:
        """The record of the map, whose cells are counted in ``tally``."""
        model, prop, output = self.model.record, self.soil_property, self.output
        what = subject(prop, self.depth)
        simulated = model.simulated or self.stack.simulated
        told = " The covariates are simulated: the map shows no real place." if simulated else ""
        title = self.title or (f"{what} of a simulated landscape" if simulated else what)
        return ProductRecord(
            id=self.id,
            collection=self.collection,
            kind="soil-map",
            title=labelled(title, output.verdict),
            abstract=f"{what} ({prop.unit}) with its 90 % prediction interval and area of applicability,"
            f" predicted by {model.id}. {model.abstract}{told}",
            keywords=("soil", "digital soil mapping", "uncertainty", "area of applicability", prop.title.lower()),
            property_code=self.code if self.code in (*property_codes(), model.property_code) else None,
            depth=None if self.depth is None else str(self.depth),
            period=self.period or self.stack.period or model.period,
            extent=Extent.of_grid(self.crop.geobox),
            algorithm=self.algorithm,
            sources=self.sources,
            quality=(*output.quality, *_shares(tally)),
            licence=self.licence,
            attribution=tuple(dict.fromkeys(source.attribution for source in self.sources if source.attribution)),
            simulated=simulated,
            verdict=output.verdict,
            limitations=self._limitations(100.0 * tally.inside / tally.mapped),
            layers=layers,
        )

    def _limitations(self, inside_percent: float) -> tuple[str, ...]:
        output, dated = self.output, self.period is not None or self.stack.period is not None
        notes = [NO_SKILL_NOTE] if output.verdict == "no-skill" else []
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
        if not self.soil_property.ratio_scale:
            notes.append("The relative uncertainty says little for a property without a natural zero; use pi90.")
        if not dated:
            notes.append("The covariates state no time; the period given is that of the model.")
        notes += self.stack.check_against(self.model.description.signature)
        # That the model is undated does not concern a map with a time of its own.
        inherited = (*output.limitations, *self.model.description.limitations)
        notes += [note for note in inherited if not (dated and note == UNDATED)]
        return tuple(dict.fromkeys(notes))


def plan_map(
    model: SoilModel,
    stack: CovariateStack,
    area: AreaOfInterest | None,
    settings: Settings,
    *,
    code: str | None = None,
    depth: Depth | None = None,
    period: Period | None = None,
    title: str | None = None,
) -> SoilMapPlan:
    """Plan one map of ``model``: of ``code`` at ``depth``, which may be left out where there is only one.

    Raises:
        NotFound: besides, when the model does not report the property, or is not for the depth.
        And as :func:`plan_maps`.
    """
    codes, depths = (model.output(code).code,), (model.interval(depth),)
    (plan,) = plan_maps(model, stack, area, settings, codes=codes, depths=depths, period=period, title=title)
    return plan


def plan_maps(
    model: SoilModel,
    stack: CovariateStack,
    area: AreaOfInterest | None,
    settings: Settings,
    *,
    codes: Sequence[str] | None = None,
    depths: Sequence[Depth | None] | None = None,
    period: Period | None = None,
    title: str | None = None,
) -> tuple[SoilMapPlan, ...]:
    """Plan maps of ``model`` over ``area``, or over all of the covariates; nothing is predicted yet.

    There is one for each property and depth: of ``codes`` and ``depths``, or of all that the model has.

    Raises:
        NotFound: when a covariate of the model is missing, or it has no such property or depth.
        InvalidRaster: when a covariate is not what the model was trained on.
        InvalidArea: when the area lies outside the covariates.
        LimitExceeded: when the grid is too large.
        LicenceConflict: when the licences of model and covariates cannot be combined.
    """
    wanted_codes = [model.output(code).code for code in (codes or model.description.codes)]
    wanted_depths = [model.interval(depth) for depth in depths] if depths else model.description.intervals
    chosen = _covariates(stack, model)
    crop = Crop(chosen.geobox) if area is None else area.on(chosen.geobox)
    if crop.cells > settings.max_cells:
        raise LimitExceeded(
            f"a map of {crop.cells} cells is larger than the limit of {settings.max_cells}",
            "choose a smaller area, or raise CUP4SOIL_MAX_CELLS",
        )
    sources = (_model_source(model), *(s for s in model.record.sources if s.role == "samples"), *chosen.sources())
    licence = derived_licence([source.licence for source in sources], settings.data_policy)
    return tuple(
        SoilMapPlan(settings, model, chosen, crop, sources, licence, code, depth, period, title)
        for code in dict.fromkeys(wanted_codes)
        for depth in dict.fromkeys(wanted_depths)
    )


def _covariates(stack: CovariateStack, model: SoilModel) -> CovariateStack:
    """The covariates of the model among those given; its classes stay classes."""
    signature = model.description.signature
    if signature:
        return stack.matching(signature)
    # The model has learnt from columns of a table: their names are all that is known.
    needed = model.description.covariates
    missing = [name for name in needed if name not in stack.names]
    if missing:
        raise NotFound(
            f"the model needs {len(missing)} covariates that are not given: {', '.join(missing[:5])}",
            f"give rasters of these names; there are {', '.join(stack.names)}",
        )
    chosen = stack.select(needed)
    return replace(chosen, categorical=chosen.categorical | set(model.description.levels))


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


def _shares(tally: Tally) -> tuple[Measure, ...]:
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

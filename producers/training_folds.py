"""The folds of a validation: random ones, and spatial ones of the kind asked for."""

from dataclasses import dataclass

import numpy as np
import pyproj
from numpy.typing import NDArray

from cup4soil.errors import InvalidSamples
from cup4soil.grids import crs_code
from cup4soil.methods.folds import random_folds, region_folds, spatial_folds
from cup4soil.methods.knndm import knndm_folds
from cup4soil.rasters.covariates import CovariateStack
from producers.coordinates import metric_coordinates
from producers.sample_sources import SampleSource
from producers.samples import SampleSpec, SampleTable
from producers.training_request import TrainRequest
from producers.training_result import FoldKind

# Cells of the map whose distances to the samples the folds are to match.
_MOST_CELLS = 2000
_DRAWN_CELLS = 4000

type _Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FoldPlan:
    """Folds (m,) of one kind. ``units`` (m,): what is resampled whole when figures get their interval."""

    kind: FoldKind
    title: str
    detail: str
    folds: NDArray[np.int64]
    units: NDArray[np.int64]
    block_size: float | None = None

    @property
    def support(self) -> str:
        """``10-fold cross-validation, spatial blocks of 500 m``."""
        title = self.title[:1].lower() + self.title[1:]
        return f"{int(self.folds.max()) + 1}-fold cross-validation, {title}{self.detail}"


def random_plan(request: TrainRequest, table: SampleTable) -> FoldPlan:
    """Random folds that keep together what belongs together.

    Raises:
        InvalidSamples: when there are fewer groups than folds.
    """
    groups = table.groups
    return FoldPlan("random", "Random folds", "", random_folds(groups, request.folds, request.seed), groups)


def spatial_plan(
    request: TrainRequest, source: SampleSource, spec: SampleSpec, table: SampleTable, stack: CovariateStack | None
) -> FoldPlan:
    """Folds of the kind asked for.

    Raises:
        InvalidSamples: when the samples do not allow for them.
        NotFound: when there is no such column of regions.
    """
    groups, folds, seed = table.groups, request.folds, request.seed
    if request.validation == "regions":
        return _regions(request, source, table)
    if request.validation == "knndm" and stack is not None:
        places, cells = _with_cells(spec, table, stack, seed)
        matched = knndm_folds(places, cells, groups, folds, seed)
        detail = f" ({matched.method})"
        return FoldPlan("knndm", "kNNDM folds", detail, matched.folds, groups)
    x, y = metric_coordinates(table.x, table.y, spec.crs)
    blocks = spatial_folds(x, y, groups, folds, seed, block_size=request.block_size)
    size = blocks.block_size
    return FoldPlan("blocks", "Spatial blocks", f" of {size:g} m", blocks.folds, blocks.blocks, size)


def _regions(request: TrainRequest, source: SampleSource, table: SampleTable) -> FoldPlan:
    names = regions_of(source, request.region_column or "", table)
    count = np.unique(names).size
    found = region_folds(names, table.groups, min(request.folds, count) if count > 1 else None, request.seed)
    units = np.unique(names, return_inverse=True)[1].astype(np.int64)
    detail = f" ({count} regions of column {request.region_column})"
    return FoldPlan("regions", "Whole regions", detail, found.folds, units)


def regions_of(source: SampleSource, column: str, table: SampleTable) -> NDArray[np.str_]:
    """The region of each sample by a column of its source, (m,): that of its first row.

    Raises:
        NotFound: when there is no such column.
        InvalidSamples: when a sample has no region.
    """
    cells = dict(zip(source.table.numbers, source.table.column(column), strict=True))
    found = [cells[rows[0]].strip() for rows in table.rows]
    if "" in found:
        row = table.rows[found.index("")][0]
        raise InvalidSamples(f"row {row} has no region in column {column}", "fill it, or validate by blocks")
    return np.array(found, dtype=str)


def _with_cells(spec: SampleSpec, table: SampleTable, stack: CovariateStack, seed: int) -> tuple[_Floats, _Floats]:
    """Samples and cells of the map that have all covariates, (m, 2) and (k, 2), in metres.

    Raises:
        InvalidSamples: when there are no such cells.
    """
    rows, cols = stack.geobox.shape
    drawn = np.random.default_rng(seed).integers(rows * cols, size=_DRAWN_CELLS)
    drawn = np.unique(drawn)
    affine = stack.geobox.affine
    x = np.asarray(affine.c + (drawn % cols + 0.5) * affine.a, dtype=np.float64)
    y = np.asarray(affine.f + (drawn // cols + 0.5) * affine.e, dtype=np.float64)
    known = ~np.isnan(stack.at_points(x, y, stack.crs)).any(axis=1)
    chosen = np.random.default_rng([seed, 1]).permutation(np.flatnonzero(known))[:_MOST_CELLS]
    if not chosen.size:
        raise InvalidSamples("no cell of the map has all covariates", "fill the covariates, or validate by blocks")
    transformer = pyproj.Transformer.from_crs(crs_code(stack.crs), crs_code(spec.crs), always_xy=True)
    own_x, own_y = transformer.transform(x[chosen], y[chosen])
    # Together, so that both lie in one system of metres.
    east, north = metric_coordinates(
        np.concatenate([table.x, np.asarray(own_x)]), np.concatenate([table.y, np.asarray(own_y)]), spec.crs
    )
    both = np.column_stack([east, north])
    return both[: len(table)], both[len(table) :]

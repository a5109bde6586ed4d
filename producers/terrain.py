"""Terrain: covariates made of an elevation model, each a layer of one product."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cup4soil.errors import NoData
from cup4soil.grids import Window, blocks
from cup4soil.licences import derived_licence
from cup4soil.methods.flow import contributing_area, topographic_wetness
from cup4soil.methods.terrain import facing, position_index, relative_height, roughness
from cup4soil.methods.valley_bottoms import flatness_of_valleys_and_ridges
from cup4soil.products import Algorithm, Layer, ProductRecord, Source, product_id
from cup4soil.progress import Progress
from cup4soil.rasters.covariates import CovariateStack
from cup4soil.rasters.encoding import encode
from cup4soil.rasters.terrain_surface import MARGIN, surface_of
from cup4soil.rasters.writing import LayerWriter
from cup4soil.settings import Settings
from producers.terrain_layers import local_layers, whole_layers
from producers.terrain_record import COLLECTION, terrain_algorithm, terrain_record, write_overview
from producers.terrain_request import TerrainRequest, cell_size_m, open_elevation, radii

__all__ = ["TerrainJob", "TerrainRequest", "plan_terrain"]

# Elevation with its margin, and the layers of a block in turn.
_BYTES_PER_CELL = 160
_LEAST_BLOCK, _LARGEST_BLOCK = 256, 2048
_LARGEST_INT16 = 32_767

type Array = NDArray[np.floating]


@dataclass(frozen=True)
class TerrainJob:
    """A planned terrain product; see :func:`plan_terrain`. ``scales`` are half edges of squares in metres and cells."""

    request: TerrainRequest
    settings: Settings
    stack: CovariateStack
    scales: Mapping[float, int]
    sources: tuple[Source, ...]
    licence: str

    collection = COLLECTION

    @cached_property
    def algorithm(self) -> Algorithm:
        """The method with all parameters that decide the result."""
        return terrain_algorithm(self.request, self.stack.geobox, self.scales, self.licence)

    @cached_property
    def id(self) -> str:
        """Identity of the product."""
        return product_id("terrain", self.algorithm, self.sources)

    @property
    def cell_m(self) -> float:
        """Edge of a cell."""
        return cell_size_m(self.stack.geobox)

    @property
    def margin(self) -> int:
        """Cells around a block that its values depend on."""
        return max(MARGIN, *self.scales.values())

    @property
    def block_size(self) -> int:
        """Edge of a block in cells that, with its margin, keeps within the memory set for it."""
        edge = int(math.sqrt(self.settings.block_memory_mib * 2**20 / _BYTES_PER_CELL)) - 2 * self.margin
        return max(_LEAST_BLOCK, min(_LARGEST_BLOCK, edge // 256 * 256))

    def run(self, folder: Path, progress: Progress) -> ProductRecord:
        """Write each layer as a file of its own into ``folder``.

        Raises:
            NoData: when no cell has an elevation.
        """
        layers = local_layers(tuple(self.scales), self.cell_m)
        clipped: Counter[str] = Counter()
        written = self._write(layers, self._local_blocks(), folder, progress, "Terrain", clipped)
        if self.request.flow:
            written += self._write(
                whole_layers(), self._whole_blocks(progress), folder, progress, "Flow and valleys", clipped
            )
        write_overview(folder, written[0])
        return terrain_record(
            self.id,
            self.request,
            self.algorithm,
            self.sources,
            self.stack.geobox,
            self.licence,
            written,
            clipped=+clipped,
            period=self.stack.period,
            simulated=self.stack.simulated,
        )

    def _write(
        self,
        layers: Sequence[Layer],
        found: Iterator[tuple[Window, dict[str, Array]]],
        folder: Path,
        progress: Progress,
        title: str,
        clipped: Counter[str],
    ) -> tuple[Layer, ...]:
        with ExitStack() as stack, progress.step(title, len(self._windows)) as advance:
            writers = [stack.enter_context(LayerWriter(folder, layer, self.stack.geobox)) for layer in layers]
            for window, values in found:
                for writer in writers:
                    layer = writer.layer
                    clipped[layer.name] += _outside(values[layer.name], layer)
                    writer.write(window, encode(values[layer.name], layer)[np.newaxis])
                advance()
            if not writers[0].any_valid:
                raise NoData(f"{self.request.dem} has no cell with an elevation", "give another elevation model")
        return tuple(writer.layer for writer in writers)

    @property
    def _windows(self) -> list[Window]:
        rows, cols = self.stack.geobox.shape
        return list(blocks((rows, cols), self.block_size))

    def _local_blocks(self) -> Iterator[tuple[Window, dict[str, Array]]]:
        margin = self.margin
        inner = (slice(margin, -margin), slice(margin, -margin))
        for window in self._windows:
            around = self.stack.read(window.of(self.stack.geobox).pad(margin))[0]
            yield window, {name: values[inner] for name, values in self._local(around).items()}

    def _local(self, elevation: NDArray[np.float32]) -> dict[str, Array]:
        surface = surface_of(elevation, self.cell_m)
        north, east = facing(surface.slope_deg, surface.aspect_deg)
        found: dict[str, Array] = {
            "elevation": elevation,
            "slope": surface.slope_deg,
            "northness": north,
            "eastness": east,
            "profile_curvature": surface.profile_curvature_per_m,
            "tangential_curvature": surface.tangential_curvature_per_m,
            "roughness": roughness(elevation),
        }
        for scale, radius in self.scales.items():
            found[f"tpi_{scale:g}m"] = position_index(elevation, radius)
            found[f"relative_height_{scale:g}m"] = relative_height(elevation, radius)
        return found

    def _whole_blocks(self, progress: Progress) -> Iterator[tuple[Window, dict[str, Array]]]:
        with progress.step("Routing flow", 2) as advance:
            elevation = self.stack.read(self.stack.geobox)[0]
            area = contributing_area(elevation, self.cell_m).astype(np.float32)
            advance()
            valley, ridge = flatness_of_valleys_and_ridges(elevation, self.cell_m)
            advance()
        for window in self._windows:
            around = self.stack.read(window.of(self.stack.geobox).pad(MARGIN))[0]
            slope = surface_of(around, self.cell_m).slope_deg[MARGIN:-MARGIN, MARGIN:-MARGIN]
            here = area[window.slices]
            yield (
                window,
                {
                    "flow_accumulation": np.log10(here),
                    "twi": topographic_wetness(here, slope, self.cell_m),
                    "mrvbf": valley[window.slices],
                    "mrrtf": ridge[window.slices],
                },
            )


def plan_terrain(request: TerrainRequest, settings: Settings) -> TerrainJob:
    """Check the request and the elevation model; nothing is computed yet.

    Raises:
        NotFound: when the file or band does not exist.
        InvalidInput: when a scale cannot be looked at.
        InvalidRaster: when the model is not in a metric CRS with square cells, or not in metres.
        LimitExceeded: when it is too large for what is asked for.
        LicenceConflict: when it is not known what its licence allows.
    """
    stack = open_elevation(request, settings)
    scales = radii(request, cell_size_m(stack.geobox))
    sources = tuple(_with_terms(source, request) for source in stack.sources())
    licence = derived_licence([source.licence for source in sources], settings.data_policy)
    return TerrainJob(request, settings, stack, scales, sources, licence)


def _with_terms(source: Source, request: TerrainRequest) -> Source:
    """The terms that the user states, where the raster itself states none."""
    return source.model_copy(
        update={
            "licence": source.licence or request.licence,
            "attribution": source.attribution or request.attribution,
        }
    )


def _outside(values: Array, layer: Layer) -> int:
    """Cells whose value the integers of the layer cannot hold."""
    with np.errstate(invalid="ignore"):
        return int(np.sum(np.abs((values - layer.offset) / layer.scale) > _LARGEST_INT16 + 0.5))

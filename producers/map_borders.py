"""Steps of a map where tiles or fields begin."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from cup4soil.grids import EUROPEAN_CRS, TILE_SIZE_M, crs_of
from cup4soil.methods.border_steps import Step
from cup4soil.rasters.writing import BLOCK_SIZE
from producers.coordinates import metres_per_unit
from producers.map_walk import Walk

# Edge of the tiles in which Sentinel-2 scenes come.
_UTM_TILE_M = 100_000
_UTM_CODES = (range(32601, 32661), range(32701, 32761))


@dataclass(frozen=True)
class Border:
    """What was found at one kind of border; ``kind`` is "tiles" or "classes"."""

    name: str
    kind: str
    step: Step


def find_borders(walk: Walk, spacings_m: Sequence[float]) -> Iterator[Border]:
    """Steps at the blocks in which rasters are written and read, at tiles that cross the map, and at edges of classes.

    Tiles are those of the European grid (200 km) in its CRS, those of Sentinel-2 (100 km) in a UTM zone, and of
    ``spacings_m``; the latter are not looked for in degrees.
    """
    kinds = [(f"blocks of {BLOCK_SIZE} cells", _blocks(walk))]
    kinds += [(f"tiles of {spacing / 1000:g} km", _tiles(walk, spacing)) for spacing in _spacings(walk, spacings_m)]
    for name, (rows, columns) in kinds:
        for direction, profile, lines in (("east-west", walk.rows, rows), ("north-south", walk.columns, columns)):
            if lines:
                yield Border(f"{name}, borders running {direction}", "tiles", profile.at(lines))
    for name, tally in walk.edges.items():
        yield Border(f"edges of {name}", "classes", tally.step)


def _spacings(walk: Walk, given_m: Sequence[float]) -> list[float]:
    crs = crs_of(walk.geobox)
    if crs.geographic:
        return []
    usual = [TILE_SIZE_M] if crs == EUROPEAN_CRS else []
    usual += [_UTM_TILE_M] if any(crs.epsg in codes for codes in _UTM_CODES) else []
    return list(dict.fromkeys([*map(float, usual), *given_m]))


def _blocks(walk: Walk) -> tuple[list[int], list[int]]:
    height, width = walk.geobox.shape
    return list(range(BLOCK_SIZE - 1, height - 1, BLOCK_SIZE)), list(range(BLOCK_SIZE - 1, width - 1, BLOCK_SIZE))


def _tiles(walk: Walk, spacing_m: float) -> tuple[list[int], list[int]]:
    """Lines at multiples of a spacing, between which cells they lie; a border within a cell is taken to its edge."""
    spacing = spacing_m / metres_per_unit(crs_of(walk.geobox))
    affine = walk.geobox.affine
    (height, width), (left, bottom, right, top) = walk.geobox.shape, walk.geobox.boundingbox.bbox
    rows = (_multiples(bottom, top, spacing) - affine.f) / affine.e
    columns = (_multiples(left, right, spacing) - affine.c) / affine.a
    return _between(rows, height), _between(columns, width)


def _multiples(low: float, high: float, spacing: float) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return spacing * np.arange(np.ceil(low / spacing), np.floor(high / spacing) + 1)


def _between(edges: np.ndarray[tuple[int], np.dtype[np.float64]], cells: int) -> list[int]:
    lines = np.unique(np.round(edges).astype(np.int64)) - 1
    return [int(line) for line in lines if 0 <= line < cells - 1]

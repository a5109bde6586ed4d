"""The simulated landscape: land cover, parcels with their rotations, soil organic carbon and the soil's spectra."""

from dataclasses import dataclass

import numpy as np
import scipy.ndimage
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from scipy.spatial import cKDTree

from cup4soil.grids import Bounds, aligned_geobox, parse_crs
from cup4soil.methods.bare_soil import BANDS
from producers.simulation.bb250 import fit_soil_spectra, load_samples
from producers.simulation.crops import Timeline, draw_timeline
from producers.simulation.noise import Field, mixture, random_field, standardised, upper_share

CELL_M = 20
CRS_CODE = "EPSG:32633"
CENTRE_M = (463_700.0, 5_805_000.0)
#: ESA WorldCover codes.
TREES, GRASS, CROPLAND, BUILT_UP, WATER = 10, 30, 40, 50, 80
LAND_COVER_NAMES = {TREES: "trees", GRASS: "grassland", CROPLAND: "cropland", BUILT_UP: "built-up", WATER: "water"}

_WATER_SHARE, _GRASS_SHARE, _TREE_SHARE, _BUILT_SHARE = 0.015, 0.13, 0.22, 0.02
_VILLAGES = ((0.28, 0.34, 1.0), (0.74, 0.70, 0.55))
_BLOCK_M, _TRACK_M = 850.0, 12.0
_SMALLEST_PARCEL_CELLS = 40


@dataclass(frozen=True, slots=True)
class Landscape:
    """What does not change over time, on ``geobox`` (square, n x n cells of 20 m).

    ``land_cover`` has WorldCover codes. ``parcels`` numbers the parcels from 0, those of ``timelines``. ``soc`` is in
    % and ``soil`` (10, n, n) the reflectance of the bare soil at mean moisture. ``wetness``, ``vigour`` and
    ``texture`` are standard normal fields, ``pine`` and ``sealed`` shares 0 ... 1.
    """

    geobox: GeoBox
    land_cover: NDArray[np.uint8]
    parcels: NDArray[np.int32]
    timelines: tuple[Timeline, ...]
    soc: Field
    soil: Field
    wetness: Field
    vigour: Field
    texture: Field
    pine: Field
    sealed: Field

    @property
    def cropland(self) -> NDArray[np.bool_]:
        """True where crops grow."""
        return np.asarray(self.land_cover == CROPLAND)

    def mapped_land_cover(self) -> NDArray[np.uint8]:
        """Land cover as a map at 20 m shows it: the most frequent class of 3 x 3 cells, without single tracks."""
        codes = np.array(list(LAND_COVER_NAMES), dtype=np.uint8)
        layers = [(self.land_cover == code).astype(np.float32) for code in codes]
        votes = np.stack([scipy.ndimage.uniform_filter(layer, 3) for layer in layers])
        return codes[np.argmax(votes, axis=0)]


def make_geobox(size: int) -> GeoBox:
    """The grid of size x size cells around the place of the samples."""
    half = size * CELL_M / 2
    x, y = (round(v / CELL_M) * CELL_M for v in CENTRE_M)
    left, bottom = x - half // CELL_M * CELL_M, y - half // CELL_M * CELL_M
    bounds = Bounds(left, bottom, left + size * CELL_M, bottom + size * CELL_M)
    return aligned_geobox(bounds, parse_crs(CRS_CODE), CELL_M)


def make_landscape(seed: int, size: int, seasons: tuple[float, ...]) -> Landscape:
    """Draw the landscape; ``seasons`` are the days of 1 January of the years of harvest (see crops)."""
    rng = np.random.default_rng([seed, 1])
    hills, bumps = random_field(rng, size, 45, 1.6), random_field(rng, size, 12)
    relief = mixture((1.0, hills), (0.25, bumps), (-0.9, _centre(size)))
    parcels, tracks = _parcels(rng, size)
    land_cover = _land_cover(rng, relief, parcels, tracks)
    soc = _soil_carbon(rng, relief, land_cover == CROPLAND)
    residuals = np.stack([mixture((0.9, random_field(rng, size, 7)), (0.44, _white(rng, size))) for _ in BANDS])
    soil = fit_soil_spectra(load_samples()).reflectance(soc, residuals)
    timelines = tuple(draw_timeline(rng, seasons) for _ in range(int(parcels.max()) + 1))
    return Landscape(
        make_geobox(size),
        land_cover,
        parcels,
        timelines,
        soc,
        soil,
        wetness=mixture((1.0, -relief), (0.5, random_field(rng, size, 10))),
        vigour=mixture((1.0, random_field(rng, size, 9)), (0.5, _white(rng, size))),
        texture=mixture((0.5, random_field(rng, size, 4)), (1.0, _white(rng, size))),
        pine=_share(random_field(rng, size, 30) + 0.8),
        sealed=_share(0.6 * _white(rng, size)),
    )


def _centre(size: int) -> Field:
    """A low mound around the centre, negated: keeps water, meadows and woods off the fields the samples come from."""
    offset = (np.arange(size, dtype=np.float32) - size / 2) / min(55.0, size / 6)
    return standardised(-np.exp(-(offset[:, None] ** 2 + offset[None, :] ** 2)).astype(np.float32))


def _white(rng: np.random.Generator, size: int) -> Field:
    return rng.standard_normal((size, size), dtype=np.float32)


def _share(field: Field) -> Field:
    return np.asarray(np.clip(0.5 + field, 0.0, 1.0), dtype=np.float32)


def _parcels(rng: np.random.Generator, size: int) -> tuple[NDArray[np.int32], NDArray[np.bool_]]:
    """Parcels as strips in blocks of a common direction, and the tracks between the blocks."""
    across = max(1, round(size * CELL_M / _BLOCK_M))
    cells, lattice = CELL_M * _pairs(np.arange(size)), _pairs(np.arange(-1, across + 1))
    sites = (lattice + rng.uniform(0.1, 0.9, lattice.shape)) * (size * CELL_M / across)
    distance, nearest = cKDTree(sites).query(cells, k=2)
    block = nearest[:, 0]
    angle = rng.uniform(0.0, np.pi, len(sites))[block]
    width, length = rng.uniform(140.0, 420.0, len(sites))[block], rng.uniform(380.0, 950.0, len(sites))[block]
    offset = cells - sites[block]
    along = np.floor((offset[:, 0] * np.cos(angle) + offset[:, 1] * np.sin(angle)) / length).astype(np.int64)
    beside = np.floor((offset[:, 1] * np.cos(angle) - offset[:, 0] * np.sin(angle)) / width).astype(np.int64)
    keys = (block * 1000 + along + 500) * 1000 + beside + 500
    parcels = np.unique(keys, return_inverse=True)[1].reshape(size, size)
    tracks = (distance[:, 1] - distance[:, 0] < 2 * _TRACK_M).reshape(size, size)
    return _without_slivers(parcels), tracks


def _pairs(values: NDArray[np.int64]) -> NDArray[np.float64]:
    """All pairs of the values, row by row: shape (n * n, 2)."""
    return np.stack(np.meshgrid(values, values, indexing="ij"), axis=-1).reshape(-1, 2).astype(np.float64)


def _without_slivers(parcels: NDArray[np.int64]) -> NDArray[np.int32]:
    """Give the cells of parcels below 1.6 ha to the nearest larger parcel, and number the rest anew."""
    large = np.bincount(parcels.ravel())[parcels] >= _SMALLEST_PARCEL_CELLS
    nearest = scipy.ndimage.distance_transform_edt(~large, return_distances=False, return_indices=True)
    merged = parcels[tuple(nearest)]
    return np.unique(merged, return_inverse=True)[1].reshape(parcels.shape).astype(np.int32)


def _land_cover(
    rng: np.random.Generator, relief: Field, parcels: NDArray[np.int32], tracks: NDArray[np.bool_]
) -> NDArray[np.uint8]:
    size = relief.shape[0]
    cover = np.full(relief.shape, CROPLAND, dtype=np.uint8)
    cover[tracks] = GRASS
    cover[upper_share(_by_parcel(-relief, parcels), _GRASS_SHARE)] = GRASS
    woods = mixture((1.0, random_field(rng, size, 40)), (0.25, random_field(rng, size, 8)), (0.8, _centre(size)))
    cover[upper_share(woods + 0.25 * np.clip(relief, -3.0, 0.0), _TREE_SHARE)] = TREES
    cover[upper_share(mixture((1.0, -relief), (0.06, random_field(rng, size, 6))), _WATER_SHARE)] = WATER
    village = _villages(size) + 0.12 * random_field(rng, size, 8)
    cover[upper_share(village, _BUILT_SHARE, cover != WATER)] = BUILT_UP
    return cover


def _by_parcel(field: Field, parcels: NDArray[np.int32]) -> Field:
    means = np.bincount(parcels.ravel(), field.ravel()) / np.bincount(parcels.ravel())
    return means[parcels].astype(np.float32)


def _villages(size: int) -> Field:
    """High near the villages' centres, falling by 9 across the landscape."""
    place = (np.arange(size, dtype=np.float32) + 0.5) / size
    closeness = [
        weight - 9.0 * np.hypot(place[:, None] - row, 0.7 * (place[None, :] - col)) for row, col, weight in _VILLAGES
    ]
    return np.maximum(*closeness).astype(np.float32)


def _soil_carbon(rng: np.random.Generator, relief: Field, cropland: NDArray[np.bool_]) -> Field:
    """SOC (%): a correlated field, richer in hollows, with the samples' distribution over the cropland."""
    size = relief.shape[0]
    hollows = np.clip(-relief - 0.5, 0.0, None)
    score = mixture(
        (0.8, random_field(rng, size, 14)),
        (0.55, random_field(rng, size, 50)),
        (0.6, hollows),
        (0.12, _white(rng, size)),
    )
    known = np.sort(load_samples().soc_percent)
    ranked = np.sort(score[cropland])
    probability = np.interp(score, ranked, (np.arange(ranked.size) + 0.5) / ranked.size)
    return np.interp(probability, (np.arange(known.size) + 0.5) / known.size, known).astype(np.float32)

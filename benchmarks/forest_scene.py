"""A made-up landscape for the benchmark of the forest: covariates as smooth, patchy and noisy as real ones."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter
from scipy.spatial import cKDTree

_PARCEL = 20
_SIDE = 1024


@dataclass(frozen=True)
class Scene:
    """``samples`` (n, f) with their ``values`` (n,); ``pixels`` (m, f) of a tile, row by row, NaN where masked."""

    samples: NDArray[np.float32]
    values: NDArray[np.float64]
    pixels: NDArray[np.float32]

    @property
    def valid(self) -> NDArray[np.float32]:
        """The pixels that are not masked."""
        return self.pixels[np.isfinite(self.pixels[:, 0])]


def scene(samples: int, features: int, side: int, seed: int = 0) -> Scene:
    """A tile of ``side`` times ``side`` pixels out of a larger area, over which the samples are strewn.

    A third of the features are spectral (parcels of 20 pixels, soil within them, 15 % noise), a third
    terrain (forms of 3 to 12 pixels), a third climate (forms of 60). A tenth of the tile is masked,
    parcel by parcel.
    """
    random = np.random.default_rng(seed)
    parcel, count = _parcels(random)
    area = np.column_stack([_covariate(k % 3, parcel, count, random) for k in range(features)])
    table = area[random.choice(area.shape[0], samples, replace=False)]
    signal = 2 * table[:, 0] + np.sin(2 * table[:, 1]) + table[:, 2] * table[:, 4] + 0.5 * table[:, 3] + table[:, 5]
    values = np.exp(0.3 * (signal + 0.5 * random.normal(size=samples)))
    masked = random.random(count)[parcel] < 0.1
    area[masked] = np.nan
    return Scene(table, values, area.reshape(_SIDE, _SIDE, features)[:side, :side].reshape(-1, features))


def _parcels(random: np.random.Generator) -> tuple[NDArray[np.intp], int]:
    count = (_SIDE // _PARCEL) ** 2
    centres = random.uniform(0, _SIDE, (count, 2))
    grid = np.indices((_SIDE, _SIDE)).reshape(2, -1).T
    return cKDTree(centres).query(grid)[1], count


def _covariate(kind: int, parcel: NDArray[np.intp], count: int, random: np.random.Generator) -> NDArray[np.float32]:
    if kind == 0:
        noise = random.normal(size=parcel.size)
        found = 0.7 * random.normal(size=count)[parcel] + 0.6 * _smooth(6, random) + 0.15 * noise
    elif kind == 1:
        found = 0.9 * _smooth(12, random) + 0.4 * _smooth(3, random)
    else:
        found = _smooth(60, random) + 0.02 * _smooth(4, random)
    return found.astype(np.float32)


def _smooth(sigma: float, random: np.random.Generator) -> NDArray[np.float64]:
    field = gaussian_filter(random.normal(size=(_SIDE, _SIDE)), sigma, mode="wrap").ravel()
    return (field - field.mean()) / field.std()

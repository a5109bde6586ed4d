"""The named tests that tell bare soil from other observations, and the statistic each takes along time.

Formulas, sources, and when to choose which: ``docs/bare-soil-tests.md``.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cup4soil.errors import InvalidInput
from cup4soil.methods import bare_test_kernels as kernels

Statistic = Literal["mean", "median", "geometric-median"]
Kernel = Callable[..., None]

# Demattê et al. 2020: lowest and highest NDVI, lowest NBR2; the highest NBR2 is the threshold.
GEOS3_LIMITS = (-0.25, 0.25, -0.3)

_HEIDEN = "Heiden et al. 2022, Remote Sensing 14, 4526, https://doi.org/10.3390/rs14184526"
_CASTALDI = "Castaldi et al. 2019, Remote Sensing 11, 2121, https://doi.org/10.3390/rs11182121"
_DVORAKOVA = "Dvorakova et al. 2023, Geoderma 429, 116128, https://doi.org/10.1016/j.geoderma.2022.116128"
_DEMATTE_2018 = (
    "Demattê et al. 2018, Remote Sensing of Environment 212, 161-175, https://doi.org/10.1016/j.rse.2018.04.047"
)
_DEMATTE_2020 = "Demattê et al. 2020, Scientific Reports 10, 4461, https://doi.org/10.1038/s41598-020-61408-1"
_ROBERTS = (
    "Roberts, Wilford and Ghattas 2019, Nature Communications 10, 5297, https://doi.org/10.1038/s41467-019-13276-1"
)
_VARDI = "Vardi and Zhang 2000, PNAS 97, 1423-1426, https://doi.org/10.1073/pnas.97.4.1423"


@dataclass(frozen=True, slots=True)
class BareTest:
    """A test of one observation, and what is made of a cell's bare observations.

    ``bands`` are what ``observe`` reads; whether an observation is valid at all, B02 decides, outside of here.
    ``index_title`` and ``index_range`` tell what ``observe`` returns as index. ``default_threshold`` is the largest
    index that counts as bare, None where it depends on the region and has to be given.
    """

    name: str
    title: str
    description: str
    bands: tuple[str, ...]
    statistic: Statistic
    index_title: str
    default_threshold: float | None
    index_range: tuple[float, float]
    references: tuple[str, ...]
    _kernel: Kernel
    _limits: tuple[float, ...] = ()

    def observe(
        self, bands: Mapping[str, NDArray[np.float32]], threshold: NDArray[np.float64]
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """Index and bare flags of one date.

        Args:
            bands: reflectance by band name, (rows, columns) each, NaN where missing; any linear scale without offset.
            threshold: largest index that counts as bare, (rows, columns), NaN where unknown.

        Returns:
            The index, NaN where it cannot be computed (a band is missing or a sum is not positive), and 1 where the
            observation is bare, else 0. The comparison is made on the index in double precision.

        Raises:
            ValueError: when a band is not given or the shapes differ.
        """
        inputs = _flat(bands, self.bands, threshold.shape)
        index = np.empty(threshold.shape, dtype=np.float32)
        bare = np.empty(threshold.shape, dtype=np.uint8)
        surface = np.ascontiguousarray(threshold, dtype=np.float64).ravel()
        extra = (self._limits,) if self._limits else ()
        self._kernel(*inputs, surface, *extra, index.ravel(), bare.ravel())
        return index, bare

    def weights(self, bands: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
        """Weight of each observation of one date in the geometric median, (rows, columns), 0 where left out.

        0.5 exp(-8 (NDVI - 0.25)): one half at an NDVI of 0.25, more where there is less green. Only the ratios of
        the weights of a cell matter to the median.

        Raises:
            ValueError: for a test whose statistic is not the geometric median, when a band is not given, or when
                the shapes differ.
        """
        if self.statistic != "geometric-median":
            raise ValueError(f"test {self.name} has no weights")
        shape = bands[self.bands[0]].shape if self.bands[0] in bands else ()
        weights = np.empty(shape, dtype=np.float32)
        nir, red = _flat(bands, self.bands, shape)
        kernels.barest_weights(nir, red, weights.ravel())
        return weights


def _flat(
    bands: Mapping[str, NDArray[np.float32]], names: tuple[str, ...], shape: tuple[int, ...]
) -> list[NDArray[np.float32]]:
    """The named bands as one-dimensional arrays."""
    missing = [name for name in names if name not in bands]
    if missing:
        raise ValueError(f"bands {', '.join(missing)} are not given")
    for name in names:
        if bands[name].shape != shape:
            raise ValueError(f"band {name} has shape {bands[name].shape}, not {shape}")
    return [np.ascontiguousarray(bands[name], dtype=np.float32).ravel() for name in names]


_TESTS = (
    BareTest(
        name="pvir2",
        title="PVIR2 threshold, mean",
        description="An observation is bare where PVIR2 is at most the regional threshold; bare observations are "
        "averaged.",
        bands=("B04", "B08", "B12"),
        statistic="mean",
        index_title="PVIR2",
        default_threshold=None,
        index_range=(-2.0, 2.0),
        references=(_HEIDEN,),
        _kernel=kernels.observe_pvir2,
    ),
    BareTest(
        name="nbr2",
        title="NBR2 threshold, mean",
        description="An observation is bare where NBR2 is at most the threshold, which keeps out green plants, dry "
        "residue and wet soil; bare observations are averaged.",
        bands=("B11", "B12"),
        statistic="mean",
        index_title="NBR2",
        default_threshold=0.075,
        index_range=(-1.0, 1.0),
        references=(_CASTALDI, _DVORAKOVA),
        _kernel=kernels.observe_ratio,
    ),
    BareTest(
        name="ndvi-nbr2",
        title="NDVI and NBR2 ranges (GEOS3), median",
        description="An observation is bare where NDVI is within -0.25 and 0.25 and NBR2 within -0.3 and the "
        "threshold; of the bare observations the median is taken, band by band.",
        bands=("B04", "B08", "B11", "B12"),
        statistic="median",
        index_title="NBR2",
        default_threshold=0.1,
        index_range=(-1.0, 1.0),
        references=(_DEMATTE_2018, _DEMATTE_2020),
        _kernel=kernels.observe_ndvi_nbr2,
        _limits=GEOS3_LIMITS,
    ),
    BareTest(
        name="barest-earth",
        title="Barest Earth, weighted geometric median",
        description="All valid observations enter a geometric median with weights that fall with NDVI; an "
        "observation counts as bare where NDVI is at most the threshold.",
        bands=("B08", "B04"),
        statistic="geometric-median",
        index_title="NDVI",
        default_threshold=kernels.HALF_WEIGHT_NDVI,
        index_range=(-1.0, 1.0),
        references=(_ROBERTS, _VARDI),
        _kernel=kernels.observe_ratio,
    ),
    BareTest(
        name="median",
        title="PVIR2 threshold, median",
        description="An observation is bare where PVIR2 is at most the regional threshold; of the bare observations "
        "the median is taken, band by band.",
        bands=("B04", "B08", "B12"),
        statistic="median",
        index_title="PVIR2",
        default_threshold=None,
        index_range=(-2.0, 2.0),
        references=(_HEIDEN,),
        _kernel=kernels.observe_pvir2,
    ),
)

TESTS: Mapping[str, BareTest] = MappingProxyType({test.name: test for test in _TESTS})


def bare_test(name: str) -> BareTest:
    """The test of that name.

    Raises:
        InvalidInput: when there is none.
    """
    if name not in TESTS:
        raise InvalidInput(f"there is no bare-soil test {name!r}", f"choose one of {', '.join(TESTS)}")
    return TESTS[name]

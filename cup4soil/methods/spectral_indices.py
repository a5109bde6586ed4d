"""Spectral indices of Sentinel-2 reflectance, each with its formula and source."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cup4soil.errors import InvalidInput

type Array = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SpectralIndex:
    """An index of ``bands`` (Sentinel-2 names), given to ``function`` in this order; it has no unit.

    A cell is missing where a band is, and where the formula is not defined (a denominator that is not above zero).
    """

    name: str
    title: str
    bands: tuple[str, ...]
    formula: str
    source: str
    function: Callable[..., Array]

    def compute(self, bands: Sequence[Array]) -> Array:
        """The index of arrays of equal shape, NaN where missing or not defined."""
        with np.errstate(divide="ignore", invalid="ignore"):
            values = np.asarray(self.function(*bands), dtype=np.float32)
        return np.where(np.isfinite(values), values, np.float32(np.nan))


def _ratio(over: Array, under: Array) -> Array:
    return np.where(under > 0, over / under, np.float32(np.nan))


def _difference(first: Array, second: Array) -> Array:
    return _ratio(first - second, first + second)


def _brightness(green: Array, red: Array, nir: Array) -> Array:
    return np.asarray(np.sqrt((green**2 + red**2 + nir**2) / 3), dtype=np.float32)


def _bare_soil(blue: Array, red: Array, nir: Array, swir: Array) -> Array:
    return _difference(swir + red, nir + blue)


INDICES: Mapping[str, SpectralIndex] = {
    index.name: index
    for index in (
        SpectralIndex(
            "NDVI", "Normalised difference vegetation index", ("B08", "B04"), "(B08 - B04) / (B08 + B04)",
            "Rouse et al. (1974), NASA SP-351, 309-317", _difference,
        ),
        SpectralIndex(
            "NDRE", "Normalised difference red edge index", ("B08", "B05"), "(B08 - B05) / (B08 + B05)",
            "Gitelson and Merzlyak (1994), J. Plant Physiol. 143, 286-292", _difference,
        ),
        SpectralIndex(
            "NDMI", "Normalised difference moisture index", ("B8A", "B11"), "(B8A - B11) / (B8A + B11)",
            "Gao (1996), Remote Sens. Environ. 58, 257-266", _difference,
        ),
        SpectralIndex(
            "NBR2", "Normalised burn ratio 2, of crop residue and moisture", ("B11", "B12"),
            "(B11 - B12) / (B11 + B12)", "Garcia and Caselles (1991), Geocarto Int. 6, 31-37", _difference,
        ),
        SpectralIndex(
            "BSI", "Bare soil index", ("B02", "B04", "B08", "B11"),
            "((B11 + B04) - (B08 + B02)) / ((B11 + B04) + (B08 + B02))",
            "Rikimaru et al. (2002), Trop. Ecol. 43, 39-47", _bare_soil,
        ),
        SpectralIndex(
            "BRIGHTNESS", "Brightness index BI2", ("B03", "B04", "B08"), "sqrt((B03^2 + B04^2 + B08^2) / 3)",
            "Escadafal (1989), Adv. Space Res. 9, 159-163", _brightness,
        ),
        SpectralIndex(
            "CLAY", "Clay ratio SWIR1/SWIR2", ("B11", "B12"), "B11 / B12",
            "Drury (1987), Image Interpretation in Geology", _ratio,
        ),
        SpectralIndex(
            "IRON", "Iron oxide ratio red/blue", ("B04", "B02"), "B04 / B02",
            "Segal (1982), Proc. Int. Symp. Remote Sens. Environ.", _ratio,
        ),
        SpectralIndex(
            "COLOUR", "Colouration index", ("B04", "B03"), "(B04 - B03) / (B04 + B03)",
            "Escadafal and Huete (1991), C. R. Acad. Sci. 312, 1385-1391", _difference,
        ),
    )
}  # fmt: skip


def spectral_index(name: str) -> SpectralIndex:
    """The index of this name, in letters of any case.

    Raises:
        InvalidInput: when there is none; the message lists those there are.
    """
    found = INDICES.get(name.strip().upper())
    if found is None:
        raise InvalidInput(f"there is no spectral index {name!r}", f"use some of {', '.join(INDICES).lower()}, or all")
    return found

"""Compiled loops of the bare-soil tests; see :mod:`cup4soil.methods.bare_tests`.

One pass over the cells, without temporary arrays and without branches, so that the compiler works on several
cells at once. Indices are formed in double precision in the order in which :func:`cup4soil.methods.bare_soil.pvir2`
forms them, and compared before they are rounded to float32: whether a cell is bare must not hang on rounding.
"""

import numba
import numpy as np

# An observation whose NDVI is this one weighs one half, and each step of ``1 / SHARPNESS`` more divides it by e.
HALF_WEIGHT_NDVI = 0.25
SHARPNESS = 8.0


@numba.njit(cache=True, nogil=True, error_model="numpy")
def observe_pvir2(b04, b08, b12, threshold, index, bare):  # type: ignore[no-untyped-def]
    """Fill ``index`` and ``bare`` (n,): PVIR2 at most ``threshold`` (n,)."""
    for i in range(index.size):
        red, nir, swir = np.float64(b04[i]), np.float64(b08[i]), np.float64(b12[i])
        green, dry = nir + red, nir + swir
        raw = (nir - red) / green + (nir - swir) / dry
        value = raw if (green > 0.0) & (dry > 0.0) else np.nan
        index[i] = value
        bare[i] = np.uint8(value <= threshold[i])


@numba.njit(cache=True, nogil=True, error_model="numpy")
def observe_ratio(high, low, threshold, index, bare):  # type: ignore[no-untyped-def]
    """Fill ``index`` and ``bare`` (n,): (high - low) / (high + low) at most ``threshold`` (n,)."""
    for i in range(index.size):
        a, b = np.float64(high[i]), np.float64(low[i])
        total = a + b
        raw = (a - b) / total
        value = raw if total > 0.0 else np.nan
        index[i] = value
        bare[i] = np.uint8(value <= threshold[i])


@numba.njit(cache=True, nogil=True, error_model="numpy")
def observe_ndvi_nbr2(b04, b08, b11, b12, threshold, limits, index, bare):  # type: ignore[no-untyped-def]
    """Fill ``index`` with NBR2 and ``bare`` (n,): NBR2 at most ``threshold`` (n,), both indices within ``limits``.

    ``limits`` are the lowest NDVI, the highest NDVI and the lowest NBR2.
    """
    lowest_ndvi, highest_ndvi, lowest_nbr2 = limits
    for i in range(index.size):
        red, nir, swir1, swir2 = np.float64(b04[i]), np.float64(b08[i]), np.float64(b11[i]), np.float64(b12[i])
        green, swir = nir + red, swir1 + swir2
        ndvi = (nir - red) / green
        raw = (swir1 - swir2) / swir
        nbr2 = raw if swir > 0.0 else np.nan
        index[i] = nbr2
        grey = (green > 0.0) & (ndvi >= lowest_ndvi) & (ndvi <= highest_ndvi)
        bare[i] = np.uint8(grey & (nbr2 >= lowest_nbr2) & (nbr2 <= threshold[i]))


@numba.njit(cache=True, nogil=True, error_model="numpy")
def barest_weights(b08, b04, weights):  # type: ignore[no-untyped-def]
    """Fill ``weights`` (n,) with 0.5 exp(-SHARPNESS (NDVI - HALF_WEIGHT_NDVI)), 0 where there is no NDVI."""
    for i in range(weights.size):
        red, nir = np.float64(b04[i]), np.float64(b08[i])
        green = nir + red
        # Negative reflectance puts NDVI outside -1 to 1; without the bound one such cell would outweigh all others.
        ndvi = min(max((nir - red) / green, -1.0), 1.0) if green > 0.0 else np.nan
        weight = 0.5 * np.exp(-SHARPNESS * (ndvi - HALF_WEIGHT_NDVI))
        weights[i] = weight if weight == weight else 0.0

"""Between physical values (float, NaN for missing) and the integers of a layer."""

import numpy as np
from numpy.typing import NDArray

from cup4soil.products import Layer

_LIMITS = {"int16": (-32767, 32767), "uint8": (0, 255)}


def to_integers(values: NDArray[np.floating], nodata: int, dtype: str) -> NDArray[np.integer]:
    """``values`` rounded half to even, NaN to ``nodata``; clipped to what the type holds beside it."""
    low, high = _LIMITS[dtype]
    missing = np.isnan(values)
    numbers = np.clip(np.rint(np.where(missing, 0.0, values)), nodata + 1 if nodata < 0 else low, high)
    return np.where(missing, nodata, numbers).astype(dtype)


def encode(values: NDArray[np.floating], layer: Layer) -> NDArray[np.integer]:
    """Integers that stand for ``values`` in ``layer``: rounded half to even, NaN to nodata.

    Values past what the type holds are clipped to its ends; -32768 is never a value in int16.
    """
    return to_integers((values - layer.offset) / layer.scale, layer.nodata, layer.dtype)


def decode(stored: NDArray[np.integer], layer: Layer) -> NDArray[np.float32]:
    """Physical values of ``stored``, NaN where nodata."""
    values = stored.astype(np.float32) * np.float32(layer.scale) + np.float32(layer.offset)
    values[stored == layer.nodata] = np.nan
    return values

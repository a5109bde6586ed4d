"""Models as plain arrays: reading them back without trusting them."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from cup4soil.errors import InvalidInput

HINT = "the model is damaged or was made by another version: train it again"


def stored_array(arrays: Mapping[str, NDArray[Any]], name: str, dtype: DTypeLike, dimensions: int = 1) -> NDArray[Any]:
    """The array called ``name``, as a copy in native memory order.

    Raises:
        InvalidInput: when it is missing, or of another type or number of dimensions.
    """
    if name not in arrays:
        raise InvalidInput(f"the stored model has no array {name!r}", HINT)
    array = np.asarray(arrays[name])
    if array.dtype != np.dtype(dtype) or array.ndim != dimensions:
        found = f"{array.ndim} dimensions of {array.dtype}"
        raise InvalidInput(f"stored array {name!r} has {found}, not {dimensions} of {np.dtype(dtype)}", HINT)
    return np.array(array, order="C")


def require(condition: object, problem: str) -> None:
    """Refuse a stored model unless ``condition`` holds.

    Raises:
        InvalidInput: with ``problem``.
    """
    if not bool(condition):
        raise InvalidInput(f"the stored model is inconsistent: {problem}", HINT)


def require_offsets(offsets: NDArray[np.int64], end: int, name: str) -> None:
    """Refuse ``offsets`` unless they rise strictly from 0 to ``end``."""
    sound = offsets.size >= 2 and offsets[0] == 0 and offsets[-1] == end and bool((np.diff(offsets) > 0).all())
    require(sound, f"{name} does not rise from 0 to {end}")

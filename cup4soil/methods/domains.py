"""Inputs of formulas: as numbers, within what is possible."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cup4soil.errors import InvalidInput


def within(name: str, values: ArrayLike, low: float, high: float, unit: str) -> NDArray[np.float64]:
    """``values`` as float64; NaN is a missing one and passes.

    Raises:
        InvalidInput: when one lies outside ``low`` to ``high``, or is infinite.
    """
    numbers = np.asarray(values, np.float64)
    outside = (numbers < low) | (numbers > high)
    if outside.any():
        worst = float(numbers[outside].flat[0])
        raise InvalidInput(
            f"{name} of {worst:g} {unit}", f"give {low:g} to {high:g} {unit}, or NaN where it is unknown"
        )
    return numbers


def classify(values: ArrayLike, bounds: ArrayLike) -> NDArray[np.int64]:
    """Class of each value, 0 below ``bounds[0]`` and one more from each bound on; -1 where it is missing.

    Raises:
        InvalidInput: when the bounds do not ascend.
    """
    numbers, limits = np.asarray(values, np.float64), np.asarray(bounds, np.float64)
    if limits.ndim != 1 or not limits.size or not (np.diff(limits) > 0).all():
        raise InvalidInput(f"bounds {limits.tolist()}", "give ascending numbers")
    return np.where(np.isnan(numbers), -1, np.digitize(numbers, limits))

"""What a bare-soil index was over a period: extremes and monthly counts of a block, and how two periods add up.

All of it adds up: the least of two least values, the largest of two largest, sums of counts. And because rounding to
the integers of a file never swaps two values, the extreme of two rounded extremes is the rounded extreme of all: what
is stored can be brought up to date without the observations it came from.
"""

from threading import Lock

import numpy as np
from numpy.typing import NDArray

from cup4soil.methods.composite import IndexRange

MONTHS = 12
_MOST = np.iinfo(np.int16).max


class IndexStatistics:
    """Running statistics of the index of a block; memory does not grow with the dates. May be fed by several threads.

    ``monthly`` counts the valid observations by calendar month, (12, rows, columns), int16.
    """

    def __init__(self, shape: tuple[int, int]) -> None:
        self._range = IndexRange(shape)
        self._lock = Lock()
        self.monthly = np.zeros((MONTHS, *shape), dtype=np.int16)

    @property
    def range(self) -> NDArray[np.float32]:
        """Least and largest index over the valid observations, (2, rows, columns), NaN without any."""
        return self._range.values

    def add(self, month: int, index: NDArray[np.float32], blue: NDArray[np.float32]) -> None:
        """Take in one date of calendar ``month`` (1 to 12): its index, and B02, NaN where the date is not valid."""
        self._range.add(index, blue)
        valid = ~np.isnan(blue)
        with self._lock:
            self.monthly[month - 1] += valid


def merge_range(one: NDArray[np.int16], other: NDArray[np.int16], nodata: int) -> NDArray[np.int16]:
    """Stored extremes (least, largest; rows, columns) over two sets of observations from those over each."""
    least, largest = np.minimum(one[0], other[0]), np.maximum(one[1], other[1])
    merged = np.stack([least, largest])
    np.copyto(merged, other, where=one == nodata)
    np.copyto(merged, one, where=other == nodata)
    return merged


def merge_counts(one: NDArray[np.int16], other: NDArray[np.int16], nodata: int) -> NDArray[np.int16]:
    """Stored counts over two sets of observations from those over each, at most what the type holds."""
    total = sum(np.where(each == nodata, 0, each).astype(np.int32) for each in (one, other))
    unseen = (one == nodata) & (other == nodata)
    return np.where(unseen, nodata, np.minimum(total, _MOST)).astype(np.int16)

"""Memory that one block after another uses."""

from math import prod
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray


class Workspace:
    """Arrays by name, whose memory is used again by the next block.

    The system zeroes each page that it hands out, which for large arrays costs as much as the work on them. A name may
    be asked for by any thread; the array it stood for before is overwritten.
    """

    def __init__(self) -> None:
        self._buffers: dict[str, NDArray[np.uint8]] = {}
        self._lock = Lock()

    def empty(self, name: str, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """An array of ``shape`` that holds anything; it is valid until ``name`` is asked for again."""
        kind = np.dtype(dtype)
        size = prod(shape) * kind.itemsize
        with self._lock:
            if name not in self._buffers or self._buffers[name].size < size:
                # What is too small goes before the larger one comes.
                self._buffers.pop(name, None)
                self._buffers[name] = np.empty(size, dtype=np.uint8)
            found: NDArray[Any] = self._buffers[name][:size].view(kind).reshape(shape)
        return found

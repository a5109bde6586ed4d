"""Memory of a process with many threads: the C library would else keep a heap for each few of them."""

import ctypes
import os
from typing import Final

_M_ARENA_MAX: Final = -8  # mallopt(3)
_HEAPS: Final = 2


def few_heaps() -> None:
    """Let all threads share few heaps, unless ``MALLOC_ARENA_MAX`` says how many: what one frees, another uses.

    A service of forty threads that take turns at large arrays has a third less memory by it. Only glibc can be told.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None and "MALLOC_ARENA_MAX" not in os.environ:
        mallopt(_M_ARENA_MAX, _HEAPS)

"""Processes that end with the one that began them."""

import ctypes
import os
import signal

_PR_SET_PDEATHSIG = 1


def end_with(parent: int, number: signal.Signals) -> bool:
    """Have the kernel send this process ``number`` when ``parent``, which began it, ends, however that happens.

    False when it has ended already, before the kernel was asked: then nothing will come.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, number)
    return os.getppid() == parent

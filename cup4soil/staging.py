"""Folders that appear whole or not at all.

A folder is filled under a temporary name beside its target and renamed once it is complete. The
temporary folder is held by a lock; what a killed run left behind has none and is swept by the next.
"""

import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from cup4soil.errors import StoreError, writing

_PREFIX = ".cup4soil-part-"
_LOCK = ".lock"


@contextmanager
def staged(target: Path) -> Iterator[Path]:
    """A temporary folder that becomes ``target`` when the context is left without an error.

    After an error, an interrupt or a kill nothing is seen at ``target``.

    Raises:
        StoreError: when ``target`` exists, or the folder cannot be written.
    """
    with writing(target):
        target.parent.mkdir(parents=True, exist_ok=True)
        sweep(target.parent)
        if occupied(target):
            raise StoreError(f"{target} exists already", "choose another folder or remove it")
        folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=target.parent))
    lock = _hold(folder)
    try:
        with writing(target):
            yield folder
            (folder / _LOCK).unlink()
            folder.chmod(0o755)
            _persist(folder)
            folder.rename(target)
            _persist(target.parent)
    finally:
        os.close(lock)
        if folder.exists():
            shutil.rmtree(folder, ignore_errors=True)


def occupied(target: Path) -> bool:
    """True when something other than an empty folder is at ``target``."""
    if target.is_dir():
        return any(target.iterdir())
    return target.exists()


def sweep(parent: Path) -> int:
    """Remove what killed runs left in ``parent``; returns how many folders that were."""
    removed = 0
    for folder in parent.glob(f"{_PREFIX}*"):
        if _abandoned(folder):
            shutil.rmtree(folder, ignore_errors=True)
            removed += 1
    return removed


def _hold(folder: Path) -> int:
    descriptor = os.open(folder / _LOCK, os.O_CREAT | os.O_RDWR, 0o600)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    return descriptor


def _abandoned(folder: Path) -> bool:
    try:
        descriptor = os.open(folder / _LOCK, os.O_RDWR)
    except FileNotFoundError:
        # Just being made, or just being renamed: not ours to judge.
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(descriptor)
    return True


def _persist(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

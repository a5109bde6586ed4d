"""Folders that appear whole or not at all.

A folder is filled under a temporary name beside its target and renamed once it is complete. A locked
file of the same name with ``.lock`` behind it is there before the folder and until after the rename:
what a killed run left behind has a lock file that nobody holds, and is swept by the next run.
"""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

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
    with unfinished(target.parent) as folder, writing(target):
        yield folder
        _persist(folder)
        folder.rename(target)
        _persist(target.parent)


@contextmanager
def unfinished(parent: Path) -> Iterator[Path]:
    """A temporary folder in ``parent``, removed when the context is left, or swept after a kill.

    Raises:
        StoreError: when it cannot be made.
    """
    with writing(parent):
        folder = parent / f"{_PREFIX}{uuid4().hex}"
        lock = _hold(_lock_of(folder))
    try:
        with writing(parent):
            folder.mkdir()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        _lock_of(folder).unlink(missing_ok=True)
        os.close(lock)


def occupied(target: Path) -> bool:
    """True when something other than an empty folder is at ``target``."""
    if target.is_dir():
        return any(target.iterdir())
    return target.exists()


def sweep(parent: Path) -> int:
    """Remove what killed runs left in ``parent``; returns how many folders that were."""
    removed = 0
    for lock in parent.glob(f"{_PREFIX}*{_LOCK}"):
        descriptor = _take(lock)
        if descriptor is not None:
            shutil.rmtree(lock.with_name(lock.name.removesuffix(_LOCK)), ignore_errors=True)
            lock.unlink(missing_ok=True)
            os.close(descriptor)
            removed += 1
    return removed


def _lock_of(folder: Path) -> Path:
    return folder.with_name(folder.name + _LOCK)


def _hold(lock: Path) -> int:
    """Make and lock the file ``lock``, anew where a sweep took it between the two steps."""
    while True:
        descriptor = os.open(lock, os.O_CREAT | os.O_RDWR, 0o600)
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        if lock.exists() and lock.stat().st_ino == os.fstat(descriptor).st_ino:
            return descriptor
        os.close(descriptor)


def _take(lock: Path) -> int | None:
    """Lock ``lock`` if nobody holds it."""
    try:
        descriptor = os.open(lock, os.O_RDWR)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor


def _persist(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

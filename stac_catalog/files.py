"""Writing files that are seen whole or not at all, and one writer at a time."""

import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

_PART = ".part"
_DOOMED = ".removed-"


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock file ``path``, waiting for others; the system frees it when its holder dies."""
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o666)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def replace_all(contents: Mapping[Path, bytes]) -> None:
    """Give each file its content: all are written beside their places first, then renamed in order.

    A full disk is met while nothing has changed yet. Only one process may do so at a time.
    """
    parts = {path.with_name(f".{path.name}{_PART}"): path for path in contents}
    try:
        for part, path in parts.items():
            write_synced(part, contents[path])
        for part, path in parts.items():
            part.rename(path)
            sync_folder(path.parent)
    finally:
        for part in parts:
            part.unlink(missing_ok=True)


def discard(folder: Path) -> None:
    """Remove a folder so that nobody sees a part of it."""
    doomed = folder.with_name(f"{_DOOMED}{folder.name}")
    folder.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def remove_leftovers(folder: Path) -> None:
    """Remove what killed runs of :func:`replace_all` and :func:`discard` left in ``folder``."""
    for part in folder.glob(f".*{_PART}"):
        part.unlink(missing_ok=True)
    for doomed in folder.glob(f"{_DOOMED}*"):
        shutil.rmtree(doomed, ignore_errors=True)


def write_synced(path: Path, content: bytes) -> None:
    """Write a file and wait until it is on the disk."""
    with path.open("wb") as stream:
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())


def copy_synced(source: Path, target: Path) -> None:
    """Copy a file's content, its folders made as needed, and wait until it is on the disk."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    sync_file(target)


def sync_file(path: Path) -> None:
    """Wait until a file's content is on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    sync_file(folder)

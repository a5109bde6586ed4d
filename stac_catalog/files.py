"""Writing files that are seen whole or not at all, and one writer at a time."""

import ctypes
import errno
import fcntl
import os
import shutil
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from uuid import uuid4

PART = ".part"
_DOOMED = ".removed-"
_KEPT = ".kept-"
_MANY = 8  # files from which on one wait for the whole file system is quicker than one for each
_TICK_NS = 1000
# Of the Linux kernel: linux/fcntl.h, linux/fs.h.
_AT_FDCWD = -100
_RENAME_EXCHANGE = 2


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
    with prepared(contents.items()) as commit:
        commit()


@contextmanager
def prepared(contents: Iterable[tuple[Path, bytes]]) -> Iterator[Callable[[], None]]:
    """Write each content beside its file; the function given renames them into place, in order.

    Without a call of it nothing is changed. Contents are taken one at a time.
    """
    parts: dict[Path, Path] = {}
    try:
        for path, content in contents:
            part = path.with_name(f".{path.name}{PART}")
            parts[part] = path
            part.write_bytes(content)
        sync_files(parts)
        yield lambda: _rename_all(parts)
    finally:
        for part in parts:
            part.unlink(missing_ok=True)


def _rename_all(parts: Mapping[Path, Path]) -> None:
    for part, path in parts.items():
        part.rename(path)
    for folder in {path.parent for path in parts.values()}:
        sync_folder(folder)


def discard(folder: Path) -> None:
    """Remove a folder so that nobody sees a part of it."""
    # Its own name each time: what a killed run left must not be in the way.
    doomed = folder.with_name(f"{_DOOMED}{folder.name}-{uuid4().hex}")
    folder.rename(doomed)
    shutil.rmtree(doomed, ignore_errors=True)


def swap(new: Path, target: Path) -> None:
    """Let two folders change places: at once, or, where the file system cannot, by way of a third name."""
    if not exchange(new, target):
        kept = target.with_name(f"{_KEPT}{target.name}")
        target.rename(kept)
        new.rename(target)
        kept.rename(new)


def remove_leftovers(folder: Path) -> None:
    """Remove what killed runs of :func:`replace_all` and :func:`discard` left in ``folder``; undo a :func:`swap`."""
    for kept in folder.glob(f"{_KEPT}*"):
        target = kept.with_name(kept.name.removeprefix(_KEPT))
        if target.exists():
            discard(kept)
        else:
            kept.rename(target)
    for part in folder.glob(f".*{PART}"):
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


def sync_files(paths: Collection[Path]) -> None:
    """Wait until the content of all files, which lie on one file system, is on the disk."""
    if len(paths) > _MANY and sync_file_system(next(iter(paths))):
        return
    for path in paths:
        sync_file(path)


def sync_folders(folders: Collection[Path]) -> None:
    """Wait until all that lies in folders, which are on one file system, is on the disk."""
    if len(folders) > _MANY and sync_file_system(next(iter(folders))):
        return
    sync_files([path for folder in folders for path in folder.rglob("*")])


def sync_file_system(path: Path) -> bool:
    """Wait until everything on the file system of ``path`` is on the disk; False where the system cannot."""
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:
        return False
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if syncfs(descriptor) != 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), str(path))
    finally:
        os.close(descriptor)
    return True


def exchange(one: Path, other: Path) -> bool:
    """Let two files or folders change places at once; False where the system or the file system cannot."""
    renameat2 = getattr(ctypes.CDLL(None, use_errno=True), "renameat2", None)
    if renameat2 is None:
        return False
    if renameat2(_AT_FDCWD, os.fsencode(one), _AT_FDCWD, os.fsencode(other), _RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in (errno.ENOSYS, errno.EINVAL, errno.ENOTSUP):
        return False
    raise OSError(number, os.strerror(number), str(other))


def move_on(path: Path) -> None:
    """Let the time of a file's last change move on, strictly: whoever looks at :func:`signature` sees a change."""
    before = path.stat().st_mtime_ns
    try:
        after = max(time.time_ns(), before + _TICK_NS)
        os.utime(path, ns=(after, after))
        moved = path.stat().st_mtime_ns > before
    except PermissionError:  # the file of another, which may be replaced all the same
        moved = False
    if not moved:
        replace_all({path: path.read_bytes()})


def signature(path: Path) -> str:
    """What changes when the file is replaced by another; empty when there is none."""
    try:
        stat = path.stat()
    except FileNotFoundError:
        return ""
    return f"{stat.st_ino}-{stat.st_mtime_ns}-{stat.st_size}"


def sync_folder(folder: Path) -> None:
    """Wait until the names in a folder are on the disk."""
    sync_file(folder)

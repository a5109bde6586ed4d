"""Processes that register products and are killed; run as a program by test_faults.py.

It forks, which the test process, with its threads, should not do: ``crash kill BASE PRODUCT STEPS``
kills a registration before each of its first STEPS changes of the disk, one store for each; ``replace`` and
``remove`` in place of ``kill`` do so with what they say;
``crash race BASE WORKERS PRODUCT...`` registers the same products in several processes at once.
"""

import os
import shutil
import signal
import sys
from collections.abc import Callable
from pathlib import Path

from cup4soil.products import read_record
from cup4soil.settings import Settings
from stac_catalog.store import Store

CHANGES = {"os.rename", "os.mkdir", "os.rmdir", "os.remove", "os.chmod", "shutil.copyfile"}
SETTINGS = Settings()


def _changes(event: str, arguments: tuple[object, ...]) -> bool:
    if event == "open":
        flags = arguments[2]
        return isinstance(flags, int) and bool(flags & (os.O_WRONLY | os.O_RDWR))
    return event in CHANGES


def kill_before(step: int) -> None:
    """From now on, kill this process before its ``step``-th change of the disk."""
    seen = 0

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        nonlocal seen
        if _changes(event, arguments):
            seen += 1
            if seen == step:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)


def register(root: Path, folder: Path) -> None:
    Store.open(root, SETTINGS).register(read_record(folder), folder)


def replace(root: Path, folder: Path) -> None:
    Store.open(root, SETTINGS).replace(read_record(folder), folder)


def remove(root: Path, folder: Path) -> None:
    record = read_record(folder)
    Store.open(root, SETTINGS).remove(record.collection, record.id)


ACTS = {"kill": register, "replace": replace, "remove": remove}


def forked(work: Callable[..., object], *arguments: object) -> int:
    """Run ``work`` in a child; its process id."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            work(*arguments)
            code = 0
        finally:
            # Not back into the parent's loop, whatever happened; what was raised is seen in the code.
            os._exit(code)
    return child


def _doomed(act: Callable[[Path, Path], None], root: Path, folder: Path, step: int) -> None:
    kill_before(step)
    act(root, folder)


def kill(act: Callable[[Path, Path], None], base: Path, folder: Path, steps: int) -> None:
    """Print, for each step, the store and whether the child was killed in it."""
    for step in range(1, steps + 1):
        root = base / f"store-{step:03d}"
        shutil.copytree(base / "before", root)
        _, status = os.waitpid(forked(_doomed, act, root, folder, step), 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        print(root, "killed" if killed else f"exit {os.waitstatus_to_exitcode(status)}", flush=True)
        if not killed:
            return


def race(root: Path, workers: int, folders: list[Path]) -> None:
    """All workers register all products, each beginning with another."""
    children = []
    for worker in range(workers):
        turn = folders[worker % len(folders) :] + folders[: worker % len(folders)]
        children.append(forked(lambda order: [register(root, each) for each in order], turn))
    codes = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
    print(*codes)


if __name__ == "__main__":
    command, *rest = sys.argv[1:]
    if command in ACTS:
        kill(ACTS[command], Path(rest[0]), Path(rest[1]), int(rest[2]))
    else:
        race(Path(rest[0]), int(rest[1]), [Path(each) for each in rest[2:]])

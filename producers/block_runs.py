"""Runs of many blocks: where their results wait, which are done already, and what could not be read."""

import fcntl
import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from odc.geo.geobox import GeoBox

from cup4soil.errors import StoreError, writing
from cup4soil.grids import Window
from cup4soil.progress import Progress
from cup4soil.rasters.scenes import UnreadableScene
from cup4soil.settings import Settings
from producers.execution import Here, runner

_PREFIX = ".cup4soil-run-"
# Less work than this is done before other processes have started.
_WORTH_PROCESSES = 4e8


@dataclass(frozen=True, slots=True)
class Execution:
    """Where and how carefully a run is computed; none of it decides the result.

    ``scheduler`` is the address of a Dask scheduler, None for processes of this machine; ``max_broken_percent`` of the
    scenes may be unreadable before the run fails.
    """

    scheduler: str | None = None
    max_broken_percent: float = 2.0

    def most_broken(self, scenes: int) -> int:
        """How many of ``scenes`` may be unreadable."""
        return int(scenes * self.max_broken_percent / 100)


@dataclass(slots=True)
class Broken:
    """Scenes that could not be read: why, and in how many blocks."""

    reasons: dict[str, str] = field(default_factory=dict)
    blocks: Counter[str] = field(default_factory=Counter)

    def add(self, found: Mapping[str, str]) -> None:
        """Take in what one block left out."""
        self.reasons |= found
        self.blocks.update(found.keys())

    def check(self, most: int, scenes: int) -> None:
        """Refuse to go on with more than ``most`` of ``scenes``.

        Raises:
            UnreadableScene: naming the first.
        """
        if len(self.reasons) > most:
            first, reason = sorted(self.reasons.items())[0]
            more = f" (and {len(self.reasons) - 1} others of {scenes})" if len(self.reasons) > 1 else ""
            raise UnreadableScene(
                first,
                f"{reason.removeprefix(f'scene {first} ')}{more}",
                f"mend the archive and run again, which goes on where it stood; or allow more than {most} such scenes "
                "with --max-broken",
            )


@contextmanager
def run_folder(parent: Path, name: str) -> Iterator[Path]:
    """The folder in which the blocks of a run wait; it outlives a run that fails or is killed.

    Raises:
        StoreError: when another process is at the same run, or the folder cannot be made.
    """
    folder = parent / f"{_PREFIX}{name}"
    lock = folder.with_name(folder.name + ".lock")
    with writing(folder):
        parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(lock, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        if not _locked(descriptor, lock):
            raise StoreError(f"another process is making {name} in {parent}", "wait until it is done")
        with writing(folder):
            folder.mkdir(exist_ok=True)
        yield folder
    finally:
        os.close(descriptor)


def _locked(descriptor: int, lock: Path) -> bool:
    """Take the lock; False where another has it, or has removed the file since it was opened."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return os.path.samestat(os.fstat(descriptor), lock.stat())
    except (BlockingIOError, FileNotFoundError):
        return False


def clear_run(parent: Path, name: str) -> None:
    """Remove what a run left, once its products are whole."""
    folder = parent / f"{_PREFIX}{name}"
    shutil.rmtree(folder, ignore_errors=True)
    folder.with_name(folder.name + ".lock").unlink(missing_ok=True)


def compute_blocks[P](
    task: Callable[..., dict[str, str]],
    plan: P,
    blocks: Sequence[Window],
    todo: Sequence[Window],
    dates: int,
    folder: Path,
    settings: Settings,
    execution: Execution,
    progress: Progress,
    check: Callable[[Mapping[str, str]], None],
) -> None:
    """Run ``task(plan, block)`` for the blocks ``todo`` of ``blocks``; ``check`` sees what each could not read.

    Raises:
        UnreadableScene: from ``check``.
        InvalidInput: when the scheduler cannot be reached.
        LimitExceeded: when workers are killed again and again.
    """
    with progress.step("Compositing", len(blocks) * dates) as advance:
        advance((len(blocks) - len(todo)) * dates)
        cells = sum(block.height * block.width for block in todo)
        alone = execution.scheduler is None and cells * dates < _WORTH_PROCESSES
        workers = 1 if alone else min(settings.workers, len(todo))
        with runner(execution.scheduler if todo else None, workers, folder) as place:
            if isinstance(place, Here):
                for block in todo:
                    check(task(plan, block, advance))
                return
            for _, broken in place.run(task, plan, todo):
                advance(dates)
                check(broken)


def grid_shape(geobox: GeoBox) -> tuple[int, int]:
    """Rows and columns."""
    return geobox.shape[0], geobox.shape[1]

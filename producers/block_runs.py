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
from cup4soil.execution import Here, runner
from cup4soil.grids import Window
from cup4soil.progress import Progress
from cup4soil.rasters.scenes import UnreadableScene
from cup4soil.rasters.scratch import scratch_facts
from cup4soil.settings import Settings

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

    def most_broken(self, scenes: int, known: int = 0) -> int:
        """How many of ``scenes`` may turn out unreadable, beside the ``known`` that were so before."""
        return max(0, int((scenes + known) * self.max_broken_percent / 100) - known)


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


@dataclass(frozen=True, slots=True)
class Work[P]:
    """Blocks to compute, all by one ``task(plan, block)`` that writes what it finds under each of ``paths(block)``, and
    returns the scenes it could not read. ``dates`` are the overpasses of a block at most, ``scenes`` all their scenes.
    ``mended``: what an earlier run could not read may be readable by now.
    """

    title: str
    task: Callable[..., dict[str, str]]
    plan: P
    blocks: Sequence[Window]
    paths: Callable[[Window], Sequence[Path]]
    dates: int
    scenes: int
    most_broken: int
    mended: bool = True

    def is_done(self, block: Window) -> bool:
        """Whether a block is there whole, and nothing was left out of it that may be ``mended``."""
        facts = [scratch_facts(path) for path in self.paths(block)]
        return all(each is not None and not (self.mended and each["broken"]) for each in facts)


def compute_blocks[P](
    work: Work[P], folder: Path, settings: Settings, execution: Execution, progress: Progress
) -> None:
    """Compute the blocks that are not there yet; ``folder`` holds what the processes of this machine need.

    Raises:
        UnreadableScene: when more scenes cannot be read than is allowed.
        InvalidInput: when the scheduler cannot be reached.
        LimitExceeded: when workers are killed again and again.
    """
    todo = [block for block in work.blocks if not work.is_done(block)]
    if not todo:
        return
    broken = Broken()

    def check(found: Mapping[str, str]) -> None:
        broken.add(found)
        broken.check(work.most_broken, work.scenes)

    with progress.step(work.title, len(work.blocks) * work.dates) as advance:
        advance((len(work.blocks) - len(todo)) * work.dates)
        cells = sum(block.height * block.width for block in todo)
        alone = execution.scheduler is None and cells * work.dates < _WORTH_PROCESSES
        workers = 1 if alone else min(settings.workers, len(todo))
        with runner(execution.scheduler, workers, folder) as place:
            if isinstance(place, Here):
                for block in todo:
                    check(work.task(work.plan, block, advance))
                return
            for _, found in place.run(work.task, work.plan, todo):
                advance(work.dates)
                check(found)


def grid_shape(geobox: GeoBox) -> tuple[int, int]:
    """Rows and columns."""
    return geobox.shape[0], geobox.shape[1]

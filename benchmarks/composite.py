"""The composite engine against its floor and its peers: ``python benchmarks/composite.py --folder DIR``.

On a simulated archive (``archives.py``; kept in DIR for the next run): reading alone, the same rules with odc-stac,
dask and xarray, and geomad's geometric median (``composite_peers.py``). Each contender runs in a process of its own,
after a warm-up on a tiny archive and with all files in the page cache, several times in turns; the best run counts.
CPU seconds are told as well: on a shared machine they vary less than wall time. At the end the results of
both composites are compared, value by value.
"""

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks.archives import ArchiveSpec, simulated_archive
from cup4soil.progress import Advance, Silent
from cup4soil.settings import Settings
from producers.composite import plan_composite
from producers.composite_request import CompositeRequest

THRESHOLD = 0.2
_TINY = ArchiveSpec(48, 6)
_GOALS = {"times the floor": 1.5, "times faster than xarray": 3.5, "peak MiB": 1536}


@dataclass(frozen=True, slots=True)
class Measured:
    """One part of a contender's run: wall and CPU seconds, and the peak of its process's memory in MiB."""

    wall: float
    cpu: float
    peak: float


class Spent(NamedTuple):
    """Wall seconds, and CPU seconds of this process and of its children that have ended."""

    wall: float
    cpu: float


class Stopwatch:
    """Progress that shows nothing and keeps what each step took."""

    def __init__(self) -> None:
        self.steps: dict[str, Spent] = {}

    @contextmanager
    def step(self, title: str, total: int) -> Iterator[Advance]:
        """See :class:`cup4soil.progress.Progress`."""
        started, cpu = time.perf_counter(), _cpu()
        with Silent().step(title, total) as advance:
            yield advance
        before = self.steps.get(title, Spent(0.0, 0.0))
        self.steps[title] = Spent(before.wall + time.perf_counter() - started, before.cpu + _cpu() - cpu)


def run_engine(catalog: Path, folder: Path, settings: Settings) -> dict[str, Spent]:
    """Composite an archive into ``folder``, which is emptied first; what each step took, in their order, and all.

    The first step reads and computes, what follows writes the files.
    """
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    watch, started, cpu = Stopwatch(), time.perf_counter(), _cpu()
    request = CompositeRequest(source=str(catalog), threshold=THRESHOLD)
    plan_composite(request, settings).run(folder, watch)
    return {**watch.steps, "all": Spent(time.perf_counter() - started, _cpu() - cpu)}


def peak_mib() -> float:
    """Peak memory of this process so far, or of the largest of its children where one took more."""
    status = Path("/proc/self/status").read_text()
    own = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM"))
    return max(own, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss) / 1024


def in_own_process(arguments: list[str]) -> Any:
    """Run this interpreter with ``arguments``; the JSON of the last line that it prints."""
    done = subprocess.run([sys.executable, *arguments], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def _cpu() -> float:
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def _timed(work: Callable[[], Any]) -> tuple[Any, Measured]:
    started, cpu = time.perf_counter(), _cpu()
    value = work()
    return value, Measured(time.perf_counter() - started, _cpu() - cpu, peak_mib())


# The contenders. Each gives its parts by name, and leaves its result in the folder where it has one to compare.


def _engine(catalog: Path, folder: Path, threads: int) -> dict[str, Measured]:
    settings = Settings(threads=threads)
    steps, whole = _timed(lambda: run_engine(catalog, folder / "engine", settings))
    first = next(iter(steps.values()))
    return {"cup4soil": Measured(first.wall, first.cpu, whole.peak), "cup4soil, files written": whole}


def _floor(catalog: Path, folder: Path, threads: int) -> dict[str, Measured]:  # noqa: ARG001
    from benchmarks.composite_peers import files_of, read_floor

    files = files_of(catalog)
    return {"reading alone": _timed(lambda: read_floor(files, threads))[1]}


def _xarray(catalog: Path, folder: Path, threads: int) -> dict[str, Measured]:
    return _peer("odc-stac + dask + xarray", catalog, folder, threads, tuned=False)


def _tuned(catalog: Path, folder: Path, threads: int) -> dict[str, Measured]:
    return _peer("the same, tuned by hand", catalog, folder, threads, tuned=True)


def _peer(name: str, catalog: Path, folder: Path, threads: int, *, tuned: bool) -> dict[str, Measured]:
    from benchmarks.composite_peers import xarray_composite

    layers, measured = _timed(lambda: xarray_composite(catalog, threads, THRESHOLD, tuned=tuned))
    np.savez(folder / "xarray.npz", **layers)
    return {name: measured}


def _geomad(catalog: Path, folder: Path, threads: int) -> dict[str, Measured]:  # noqa: ARG001
    from benchmarks.composite_peers import geometric_median, load_cube

    cube, loading = _timed(lambda: load_cube(catalog, threads))
    _, alone = _timed(lambda: geometric_median(cube, threads))
    both = Measured(loading.wall + alone.wall, loading.cpu + alone.cpu, alone.peak)
    return {"geomad, loaded before": alone, "geomad, with loading": both}


CONTENDERS: Mapping[str, Callable[[Path, Path, int], dict[str, Measured]]] = {
    "floor": _floor,
    "engine": _engine,
    "xarray": _xarray,
    "tuned": _tuned,
    "geomad": _geomad,
}


def _contend(name: str, catalog: Path, folder: Path, threads: int) -> None:
    """What the contender's own process does."""
    # Means of nothing are NaN in xarray and numpy, and said to be so each time.
    warnings.simplefilter("ignore", RuntimeWarning)
    CONTENDERS[name](simulated_archive(_TINY, folder), folder, threads)
    parts = CONTENDERS[name](catalog, folder, threads)
    print(json.dumps({part: [m.wall, m.cpu, m.peak] for part, m in parts.items()}))


def _best(rounds: list[dict[str, list[float]]]) -> dict[str, Measured]:
    """Of each part the least seconds of all rounds, and the largest peak."""
    found = {}
    for part in rounds[0]:
        wall, cpu, peak = np.array([each[part] for each in rounds], dtype=float).T
        found[part] = Measured(float(wall.min()), float(cpu.min()), float(peak.max()))
    return found


def _table(parts: Mapping[str, Measured]) -> Iterator[str]:
    floor = parts.get("reading alone")
    yield f"{'':28}{'wall s':>9}{'x floor':>9}{'CPU s':>9}{'x floor':>9}{'peak MiB':>10}"
    for name, each in parts.items():
        ratios = (each.wall / floor.wall, each.cpu / floor.cpu) if floor else (np.nan, np.nan)
        yield f"{name:28}{each.wall:9.2f}{ratios[0]:9.2f}{each.cpu:9.2f}{ratios[1]:9.2f}{each.peak:10.0f}"
    ours = parts.get("cup4soil")
    if ours is None:
        return
    for name, each in parts.items():
        if not name.startswith(("cup4soil", "reading")):
            ratios = (each.wall / ours.wall, each.cpu / ours.cpu)
            yield f"{name}: {ratios[0]:.1f} times the time of cup4soil, {ratios[1]:.1f} times its CPU seconds"
    yield f"goals: {', '.join(f'{value:g} {name}' for name, value in _GOALS.items())}"


def _compared(folder: Path) -> Iterator[str]:
    """How far the two composites agree."""
    from benchmarks.composite_peers import differences

    with np.load(folder / "xarray.npz") as layers:
        found = differences(folder / "engine", dict(layers))
    for name, (gaps, largest) in found.items():
        yield f"{name:14} values in one only: {gaps}; largest difference {largest:.3f} of a stored unit"


def main() -> None:
    """Run the contenders in turns and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where archives are kept and results go")
    parser.add_argument("--size", type=int, default=1024, help="edge of the archive in cells of 20 m")
    parser.add_argument("--dates", type=int, default=60)
    parser.add_argument("--tile", type=int, default=512, help="edge of the files' tiles in cells")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", nargs="+", choices=tuple(CONTENDERS), default=tuple(CONTENDERS))
    parser.add_argument("--contender", choices=tuple(CONTENDERS), help=argparse.SUPPRESS)
    options = parser.parse_args()
    spec = ArchiveSpec(options.size, options.dates, options.tile)
    catalog = simulated_archive(spec, options.folder, options.threads)
    if options.contender:
        _contend(options.contender, catalog, options.folder, options.threads)
        return
    stored = sum(path.stat().st_size for path in catalog.parent.rglob("*.tif"))
    print(f"{spec.size} x {spec.size} cells x {spec.dates} dates: {spec.decoded_bytes / 1e9:.2f} GB decoded, ", end="")
    print(f"{stored / 1e9:.2f} GB as stored; {options.threads} threads; best of {options.rounds}", flush=True)
    _floor(catalog, options.folder, options.threads)
    rounds: dict[str, list[dict[str, list[float]]]] = {name: [] for name in options.only}
    for number in range(options.rounds):
        for name in options.only:
            rounds[name].append(in_own_process([__file__, "--contender", name, *sys.argv[1:]]))
            load = os.getloadavg()[0]
            print(f"round {number + 1}, {name} (load {load:.1f}): {rounds[name][-1]}", file=sys.stderr, flush=True)
    parts = {part: measured for name in rounds for part, measured in _best(rounds[name]).items()}
    print("\n".join(_table(parts)))
    if "engine" in options.only and {"xarray", "tuned"} & set(options.only):
        print("\n".join(_compared(options.folder)))


if __name__ == "__main__":
    main()

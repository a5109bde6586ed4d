"""Many mixed clients at once, for long: ``python benchmarks/load.py [--seconds 300] [--clients 200]``.

A demo store is made (or ``--store`` named), served by ``cup4soil serve`` with several web processes and a worker, and
asked by clients that do everything at once: coverages in all formats, EDR, tiles and maps, STAC, records, OAI-PMH,
metadata, files by byte range, executions, jobs that are followed or dismissed, and requests that are wrong. Latencies
and statuses by kind, and what the server takes, are printed. It fails on any answer that is not the one expected, and
where memory, open files or threads of the last third are more than those of the first.

Clients and server share the machine, so times tell of both.
"""

import argparse
import asyncio
import random
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread

import httpx
from load_requests import KINDS, Asking, Place, Wrong, places_of
from serving import COMMAND, Serving, serving

_MIB = 2**20
_SAMPLE_S = 1.0
# What may come on top of the first third: a share of it, and so much, which a single large answer takes.
_MORE, _MORE_MIB, _MORE_COUNT = 0.10, 48.0, 16
_SHOWN = 20


@dataclass
class Outcome:
    """What clients were told, as (kind, status, seconds), and what was wrong with it."""

    told: list[tuple[str, int, float]] = field(default_factory=list)
    faults: list[str] = field(default_factory=list)


class Watch:
    """Memory (private, MiB), open files and threads of the web processes, once a second."""

    def __init__(self, server: Serving) -> None:
        self._processes = server.web_processes()
        self.samples: list[tuple[float, float, int, int]] = []
        self._stop = Event()
        self._thread = Thread(target=self._run)

    @contextmanager
    def running(self) -> Iterator[None]:
        """Watch while the context lasts."""
        self._thread.start()
        try:
            yield
        finally:
            self._stop.set()
            self._thread.join()

    def look(self) -> tuple[float, float, int, int]:
        """The time, and the sums over all web processes at this moment."""
        memory = sum(each.memory_full_info().uss for each in self._processes) / _MIB
        files = sum(each.num_fds() for each in self._processes)
        return time.monotonic(), memory, files, sum(each.num_threads() for each in self._processes)

    def connections(self) -> int:
        """Sockets of the web processes, those that listen included."""
        return sum(len(each.net_connections()) for each in self._processes)

    def _run(self) -> None:
        while not self._stop.wait(_SAMPLE_S):
            self.samples.append(self.look())

    def growth(self) -> list[str]:
        """What the last third has more than the first, in words; nothing where it is steady."""
        third = len(self.samples) // 3
        if third < 3:
            return []
        first, last = self.samples[:third], self.samples[-third:]
        told = []
        for index, name, more in ((1, "MiB", _MORE_MIB), (2, "open files", _MORE_COUNT), (3, "threads", _MORE_COUNT)):
            before, after = (statistics.median(each[index] for each in part) for part in (first, last))
            print(f"{name}: {before:.0f} in the first third, {after:.0f} in the last")
            if after > before * (1 + _MORE) + more:
                told.append(f"{name} grew from {before:.0f} to {after:.0f}")
        return told


async def _client(url: str, places: Sequence[Place], outcome: Outcome, end: float, pause: float) -> None:
    works, weights = list(KINDS), list(KINDS.values())
    async with httpx.AsyncClient(base_url=url, timeout=120) as http:
        asking = Asking(http, places, outcome.told)
        await asyncio.sleep(random.uniform(0, 1))
        while time.monotonic() < end:
            try:
                await random.choices(works, weights)[0](asking)
            except Wrong as error:
                outcome.faults.append(str(error))
            await asyncio.sleep(random.expovariate(1 / pause) if pause else 0)


async def _clients(url: str, places: Sequence[Place], arguments: argparse.Namespace, seconds: float) -> Outcome:
    outcome = Outcome()
    end = time.monotonic() + seconds
    each = (_client(url, places, outcome, end, arguments.pause) for _ in range(arguments.clients))
    await asyncio.gather(*each)
    return outcome


def _report(told: Sequence[tuple[str, int, float]], seconds: float) -> None:
    print(f"{'kind':20}{'asked':>8}{'p50 ms':>9}{'p95 ms':>9}{'worst':>9}  statuses")
    for kind in sorted({kind for kind, _, _ in told}):
        times = sorted(1e3 * each for name, _, each in told if name == kind)
        statuses = Counter(status for name, status, _ in told if name == kind)
        shown = ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items()))
        p95 = times[min(len(times) - 1, int(0.95 * len(times)))]
        print(f"{kind:20}{len(times):8}{statistics.median(times):9.0f}{p95:9.0f}{times[-1]:9.0f}  {shown}")
    print(f"{len(told)} requests in {seconds:.0f} s: {len(told) / seconds:.0f}/s")


def _left_open(watch: Watch, idle: int) -> list[str]:
    """Connections that are still open some time after all clients have gone, in words."""
    for _ in range(60):
        left = watch.connections()
        if left <= idle:
            return []
        time.sleep(0.5)
    return [f"{left} connections are open after all clients have gone, {idle} were before they came"]


def _measure(store: Path, arguments: argparse.Namespace) -> list[str]:
    settings = {"CUP4SOIL_LOG_LEVEL": "warning"}
    log = Path(arguments.log) if arguments.log else None
    options = ("--workers", str(arguments.workers))
    with serving(store, *options, settings=settings, log=log) as server:
        places = places_of(store / "catalog")
        warm = min(30.0, arguments.seconds / 4)
        asyncio.run(_clients(server.url, places, arguments, warm))
        watch = Watch(server)
        idle = watch.connections()
        start = time.monotonic()
        with watch.running():
            outcome = asyncio.run(_clients(server.url, places, arguments, arguments.seconds))
        seconds = time.monotonic() - start
        _report(outcome.told, seconds)
        peak = max(sample[1] for sample in watch.samples)
        print(f"most memory of {arguments.workers} web processes: {peak:.0f} MiB")
        found = watch.growth() + _left_open(watch, idle)
        for fault, count in Counter(outcome.faults).most_common(_SHOWN):
            print(f"{count} x {fault}", file=sys.stderr)
        return found + ([f"{len(outcome.faults)} answers were not as expected"] if outcome.faults else [])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--seconds", type=float, default=300.0, help="after a time of warming up")
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--workers", type=int, default=2, help="web processes")
    parser.add_argument("--pause", type=float, default=0.0, help="mean pause of a client between two errands (s)")
    parser.add_argument("--store", type=Path, help="an existing store with a map of soc and its model")
    parser.add_argument("--log", help="file for what the service logs")
    arguments = parser.parse_args()
    random.seed(1)
    with tempfile.TemporaryDirectory() as folder:
        store = arguments.store or Path(folder) / "store"
        if arguments.store is None:
            subprocess.run([COMMAND, "demo", "--store", store, "--no-serve"], check=True)
        wrong = _measure(store, arguments)
    print("\n".join(wrong) or "steady, and every answer as expected")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()

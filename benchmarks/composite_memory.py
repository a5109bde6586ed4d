"""Memory and time of single blocks of a full Sentinel-2 tile: ``python benchmarks/composite_memory.py --folder DIR``.

10 980 x 10 980 cells of 10 m and 300 dates, in files of true size and tile structure; only a few dates are drawn, the
other dates' files are hard links to them (about 4 GB on disk for each size of tiles). Each block is computed as a
worker does it, in a process of its own; ``--all`` makes the whole composite, with the local workers of a usual run.
"""

import argparse
import json
import time
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks.archives import ArchiveSpec, simulated_archive
from benchmarks.composite import THRESHOLD, in_own_process, peak_mib, run_engine
from cup4soil.settings import Settings
from producers.composite import CompositeRun, plan_run
from producers.composite_engine import run_block
from producers.composite_request import CompositeRequest

_GOAL_MIB = 2048


def _planned(spec: ArchiveSpec, options: argparse.Namespace) -> CompositeRun:
    catalog = simulated_archive(spec, options.folder, options.threads)
    request = CompositeRequest(source=str(catalog), threshold=THRESHOLD)
    return plan_run(request, Settings(threads=options.threads))


def _one_block(spec: ArchiveSpec, options: argparse.Namespace) -> None:
    """What a block's own process does."""
    run = _planned(spec, options)
    with TemporaryDirectory(dir=options.folder) as folder:
        plan, before, started = run.engine_plan(Path(folder)), peak_mib(), time.perf_counter()
        broken = run_block(plan, run.blocks[options.block])
    if broken:
        raise SystemExit(f"scenes could not be read: {broken}")
    print(json.dumps({"seconds": time.perf_counter() - started, "before": before, "peak": peak_mib()}))


def _whole_run(spec: ArchiveSpec, options: argparse.Namespace) -> None:
    """What the whole run's own process does."""
    catalog = simulated_archive(spec, options.folder, options.threads)
    steps = run_engine(catalog, options.folder / "memory", Settings(threads=options.threads))
    print(json.dumps({"steps": steps, "peak": peak_mib()}))


def _report(spec: ArchiveSpec, options: argparse.Namespace, arguments: list[str]) -> None:
    run = _planned(spec, options)
    count = len(run.blocks)
    print(f"tiles of {spec.tile} cells, {spec.dates} dates: {count} blocks of {run.plan.edge} cells, ", end="")
    print(f"bands kept {', '.join(run.plan.kept)}, each byte decoded {run.plan.readings:.2f} times, ", end="")
    print(f"{run.plan.bytes / 2**20:.0f} MiB planned", flush=True)
    if options.all:
        found = in_own_process([__file__, *arguments, "--tile", str(spec.tile), "--block", "-1"])
        steps = ", ".join(f"{name} {wall:.0f} s" for name, (wall, _) in found["steps"].items())
        print(f"  whole run: {steps}; peak of the largest process {found['peak']:.0f} MiB (goal {_GOAL_MIB})")
        return
    # The first block is whole; the last is what is left over at the corner.
    for block in sorted({0, count // 2, count - 1}):
        found = in_own_process([__file__, *arguments, "--tile", str(spec.tile), "--block", str(block)])
        area = run.blocks[block]
        size = f"{area.height} x {area.width} cells"
        seconds, peak = found["seconds"], found["peak"]
        print(
            f"  block {block + 1:3}, {size:16}: {seconds:6.1f} s, peak {peak:5.0f} MiB (goal {_GOAL_MIB})", flush=True
        )


def main() -> None:
    """Plan for each size of tiles and run some blocks."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where archives are kept")
    parser.add_argument("--size", type=int, default=5490, help="edge of the archive in cells of 20 m")
    parser.add_argument("--dates", type=int, default=300)
    parser.add_argument("--distinct", type=int, default=4, help="dates that are drawn")
    parser.add_argument("--tile", type=int, nargs="+", default=[1024, 512], help="edges of the files' tiles in cells")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--all", action="store_true", help="the whole composite")
    parser.add_argument("--block", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    arguments = ["--folder", str(options.folder), "--size", str(options.size), "--dates", str(options.dates)]
    arguments += ["--distinct", str(options.distinct), "--threads", str(options.threads)]
    for tile in options.tile:
        spec = ArchiveSpec(options.size, options.dates, tile, options.distinct)
        if options.block is None:
            _report(spec, options, arguments)
        elif options.block < 0:
            _whole_run(spec, options)
        else:
            _one_block(spec, options)


if __name__ == "__main__":
    main()

"""Peak memory of single blocks: ``python block_memory.py CATALOG "METHOD CRS WINDOWS"...``; a line of JSON for each."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from cup4soil.grids import Window
from producers.composite_engine import run_block
from tests.producers.engine_runs import planned


def peak_mib() -> float:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def main() -> None:
    catalog, *cases = sys.argv[1:]
    for case in cases:
        method, crs, windows = case.split()
        run = planned(Path(catalog), method=method, crs=crs)
        run.__dict__["windows"] = tuple(replace(run.windows[0], label=f"w{i}") for i in range(int(windows)))
        with TemporaryDirectory() as folder:
            plan = run.engine_plan(Path(folder))
            # Compiled code and libraries are no part of a block.
            run_block(plan, Window(0, 0, 8, 8))
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
            before = peak_mib()
            block = max(run.blocks, key=lambda each: each.height * each.width)
            run_block(plan, block)
        share = block.height * block.width / run.plan.edge**2
        planned_mib = run.plan.bytes * share / 2**20
        print(json.dumps({"case": case, "edge": run.plan.edge, "planned": planned_mib, "used": peak_mib() - before}))


if __name__ == "__main__":
    main()

"""A composite in a process of its own, for tests that end it: ``python killed_run.py CATALOG OUT EDGE PAUSE [BYTES]``.

Each band of each block takes ``PAUSE`` seconds to read; no file may grow past ``BYTES``.
"""

import resource
import sys
import time
from pathlib import Path

from cup4soil.errors import Cup4soilError
from cup4soil.progress import Silent
from cup4soil.rasters import scenes
from producers import composite_plan
from tests.producers.engine_runs import planned


def main() -> None:
    catalog, out, edge, pause, *limit = sys.argv[1:]
    composite_plan.EDGES = (int(edge),)
    read = scenes.SceneView.read

    def slowly(*args, **more):
        time.sleep(float(pause))
        return read(*args, **more)

    scenes.SceneView.read = slowly
    run = planned(Path(catalog))
    if limit:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit[0]), resource.RLIM_INFINITY))
    Path(out).mkdir(parents=True)
    print("started", flush=True)
    try:
        run.jobs[0].run(Path(out), Silent())
    except Cup4soilError as error:
        raise SystemExit(f"{type(error).__name__}: {error}") from None


if __name__ == "__main__":
    main()

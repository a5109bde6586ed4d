"""A child with a process that only waits, fails or ends as told; run as a program by the worker.

It is the worker's real child with one more process in the list.
"""

import os
import signal
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cup4soil.errors import InvalidArea
from cup4soil.progress import Progress
from processors import processes
from processors.jobs import child

STEPS = 10


@dataclass(frozen=True)
class _Plan:
    inputs: Mapping[str, Any]
    cells: int = 1

    def run(self, folder: Path, progress: Progress) -> dict[str, dict[str, Any]]:
        with Path(self.inputs["marker"]).open("a") as marker:
            marker.write(f"{os.getpid()} {sorted(os.environ)}\n")
        if self.inputs.get("quiet"):
            time.sleep(self.inputs["seconds"])
            return {}
        with progress.step("Waiting", STEPS) as advance:
            for _ in range(STEPS):
                time.sleep(self.inputs.get("seconds", 0) / STEPS)
                advance()
        _end(self.inputs.get("end"))
        (folder / "out.txt").write_text("done")
        print("what libraries print does not disturb the report")
        return {"out": {"file": "out.txt", "type": "text/plain"}}


def _end(how: str | None) -> None:
    if how == "area":
        raise InvalidArea("the area is bad", "give a good one")
    if how == "bug":
        raise RuntimeError("secret of the program")
    if how == "memory":
        bytearray(3 * 2**30)
    if how == "signal":
        os.kill(os.getpid(), signal.SIGSEGV)
    if how == "exit":
        os._exit(3)


class _Wait:
    description: Mapping[str, Any] = {"inputs": {}, "outputs": {}}

    def plan(self, store: Path, settings: Any, inputs: Mapping[str, Any]) -> _Plan:
        return _Plan(inputs)


PROCESS = _Wait()
processes._PROCESSES["wait"] = "__main__:PROCESS"

if __name__ == "__main__":
    sys.exit(child.main())

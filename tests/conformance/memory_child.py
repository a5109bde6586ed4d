"""A process of its own that asks a service for the most that its limits allow, and tells what memory that took."""

import json
import sys
from pathlib import Path

from tests.processors.coverages import worlds
from tests.service.asking import client_of

VALUES, JSON_VALUES = 4_000_000, 200_000
COVERAGE = f"/ogc/collections/{worlds.COLLECTION}/coverage"
# What is asked, and the status that it is answered with.
ASKED: tuple[tuple[str, dict[str, str], int], ...] = (
    (COVERAGE, {}, 200),
    (COVERAGE, {"f": "COG"}, 200),
    (COVERAGE, {"f": "NetCDF"}, 200),
    (COVERAGE, {"f": "json"}, 200),
    (COVERAGE, {"f": "png", "properties": "mean"}, 200),
    (COVERAGE, {"width": "2000", "height": "2000", "properties": "mean"}, 200),
    (COVERAGE, {"properties": "mean", "crs": "[EPSG:3857]", "scale-size": "E(2000),N(1999)"}, 200),
    (COVERAGE, {"subset": "E(5000000:5040000)", "properties": "mean", "scale-factor": "1.5"}, 200),
    (f"/ogc/collections/{worlds.COLLECTION}/map", {"width": "2000", "height": "2000"}, 200),
    (COVERAGE, {"resolution": "", "f": "GTiff"}, 413),
    (COVERAGE, {"scale-factor": "0.001"}, 413),
    (COVERAGE, {"width": "999999999", "height": "999999999"}, 413),
    (COVERAGE, {"crs": "[EPSG:3857]", "resolution": "E(0.001),N(0.001)"}, 413),
    (f"/ogc/collections/{worlds.COLLECTION}/cube", {"bbox": "20,60,30,70"}, 413),
    (f"/ogc/collections/{worlds.COLLECTION}/map", {"width": "16000", "height": "16000"}, 413),
)


def _mb(name: str) -> float:
    """A figure of this process's memory: ``VmRSS`` is what it holds, ``VmHWM`` the most since the last reset."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (kib,) = (int(line.split()[1]) for line in lines if line.startswith(f"{name}:"))
    return kib / 1024


def _reset_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")


def main(store: Path) -> None:
    client = client_of(store, coverage_values=VALUES, coverage_json_values=JSON_VALUES)
    client.get(COVERAGE, params={"scale-factor": "20"})
    first = _mb("VmRSS")
    told = []
    for path, params, status in ASKED:
        _reset_peak()
        answer = client.get(path, params=params)
        grown = _mb("VmHWM") - first
        told.append({"asked": f"{path} {params}", "status": answer.status_code, "expected": status, "mb": round(grown)})
    json.dump(told, sys.stdout)


if __name__ == "__main__":
    main(Path(sys.argv[1]))

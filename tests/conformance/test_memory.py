"""No answer takes more memory than its limits allow, whatever is asked."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from cup4soil.settings import Settings
from stac_catalog.store import Store
from tests.processors.coverages import worlds

# Cells: of three layers more than twice what one answer may hold.
SIDE = 1800
# Of four million values or pixels: two bytes each read, placed, encoded and copied; four each and colours for pictures.
MOST_MB = {"coverage": 300, "cube": 300, "map": 450}


def test_the_largest_answers_stay_within_bounds(tmp_path: Path) -> None:
    store = Store.open(tmp_path / "store", Settings())
    grid = worlds.european(worlds.LEFT, worlds.TOP, SIDE, SIDE)
    noise = np.random.default_rng(0).integers(0, 400, (SIDE, SIDE)).astype(np.int16)
    store.register(worlds.product(tmp_path / "map", grid, noise), tmp_path / "map")
    child = subprocess.run(
        [sys.executable, "-m", "tests.conformance.memory_child", str(store.root)],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert child.returncode == 0, child.stderr[-2000:]
    for each in json.loads(child.stdout):
        assert each["status"] == each["expected"], each
        assert each["mb"] < MOST_MB[each["asked"].split()[0].rpartition("/")[2]], each

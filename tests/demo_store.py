"""The demo on a small landscape, made once for all processes of a run of the tests."""

import shutil
from pathlib import Path

import pytest

from cup4soil.progress import Silent
from cup4soil.settings import Settings
from service.demo import Demo, run_demo
from stac_catalog.files import locked


@pytest.fixture(scope="session")
def demo(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Demo:
    """Tests do not change its store: those that write take a copy."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if hasattr(request.config, "workerinput") else base
    with locked(shared / "demo.lock"):
        return run_demo(shared / "demo" / "store", Settings(), Silent(), size=120)


def copy_of(demo: Demo, root: Path) -> Path:
    """A copy of the demo's store at ``root``, without the simulated archive."""
    shutil.copytree(demo.catalog.parents[1], root, ignore=shutil.ignore_patterns("demo"))
    return root

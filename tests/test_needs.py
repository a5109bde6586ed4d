"""Where everything has to be there, a test that skips fails."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.needs import COMPLETE

REPOSITORY = Path(__file__).resolve().parents[1]
_TESTS = """
import pytest
from tests import needs

def test_missing():
    needs.program("no-such-program", "nowhere")

@pytest.mark.skipif(True, reason="of a mark")
def test_mark(): ...

@pytest.fixture
def made():
    pytest.skip("the shared test data are not beside the repository")

def test_excused(made): ...

@pytest.mark.xfail
def test_expected():
    raise AssertionError

def test_there(): ...
"""
_MODULE = 'import pytest\npytest.importorskip("no_such_module")'


@pytest.mark.parametrize(
    ("value", "outcome"),
    [("", "1 passed, 4 skipped, 1 xfailed"), ("1", "1 failed, 1 passed, 1 skipped, 1 xfailed, 2 errors")],
)
def test_what_skips_fails_where_everything_has_to_be_there(tmp_path: Path, value: str, outcome: str) -> None:
    (tmp_path / "test_some.py").write_text(_TESTS)
    (tmp_path / "test_module.py").write_text(_MODULE)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    command = [sys.executable, "-m", "pytest", "-q", "-p", "tests.needs", "-p", "no:cacheprovider", str(tmp_path)]
    command += ["--continue-on-collection-errors", "--rootdir", str(tmp_path), "-c", str(tmp_path / "pytest.ini")]
    environment = os.environ | {COMPLETE: value, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=False)
    assert done.stdout.splitlines()[-1].split(" in ")[0] == outcome, done.stdout

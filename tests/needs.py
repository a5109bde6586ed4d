"""What tests need of the machine. Without it they skip and say so; where everything has to be there, they fail.

Continuous integration sets ``CUP4SOIL_TESTS_COMPLETE``, so that nothing is left out there without anybody seeing it.
"""

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

COMPLETE = "CUP4SOIL_TESTS_COMPLETE"
# What no set-up can bring: data that may not be handed on, and rights that a container may lack.
_EXCUSED = ("the shared test data", "only root", "this machine does not let root", "no small disk can be mounted")


def program(name: str, package: str) -> str:
    """Path of a program, beside Python or the machine's; the test skips without, naming the package that brings it."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    found = shutil.which(name, path=path)
    if found is None:
        pytest.skip(f"{name} is not installed: {package}")
    return found


def qgis() -> str:
    """The Python that has QGIS, the system's; the test skips without."""
    if not Path("/usr/lib/python3/dist-packages/qgis").is_dir():
        pytest.skip("QGIS is not installed: python3-qgis")
    return "/usr/bin/python3"


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    report = yield
    return _judged(report)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Iterator[None]:
    report = yield
    return _judged(report)


def _judged(report: pytest.TestReport | pytest.CollectReport) -> pytest.TestReport | pytest.CollectReport:
    """The report; that of a skipped test as a failure where everything has to be there."""
    if os.environ.get(COMPLETE) and report.skipped and not hasattr(report, "wasxfail"):
        reason = str(report.longrepr[-1] if isinstance(report.longrepr, tuple) else report.longrepr)
        if not any(excused in reason for excused in _EXCUSED):
            report.outcome = "failed"
            report.longrepr = f"{COMPLETE} is set, so nothing may be skipped. {reason}"
    return report

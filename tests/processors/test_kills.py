"""Server, worker and jobs' processes killed at random moments: nothing is lost, nothing is there twice."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.kill_jobs import ATTEMPTS, run
from tests.postgres import postgres


@pytest.fixture
def database(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str | None]:
    if request.param == "sqlite":
        yield None
        return
    with postgres(tmp_path_factory.mktemp("postgres")) as url:
        yield url


@pytest.mark.parametrize(("database", "seed"), [("sqlite", 3), ("postgres", 5)], indirect=["database"])
def test_nothing_is_lost_to_kills(database: str | None, seed: int, tmp_path: Path) -> None:
    outcome = run(tmp_path, database, 4, seed)
    assert outcome.faults == []
    assert sum(outcome.kills.values()) == 4
    assert outcome.successful + outcome.crashed >= outcome.accepted > 3
    assert outcome.most_attempts <= ATTEMPTS

"""What the windows of a run share while they are made, and what of it is told when there is no room."""

import errno

import pytest

from cup4soil.errors import NoData, StoreError
from cup4soil.progress import Silent
from producers import composite
from tests.producers.archives import write_archive
from tests.producers.engine_runs import planned
from tests.producers.test_execution import some_scenes


def test_nobody_else_comes_between_the_windows_of_a_run(tmp_path):
    """Not while they are made, nor after one that failed; afterwards nothing is left, and anybody may."""
    archive = write_archive(tmp_path, some_scenes(12))
    run, other = (planned(archive, seasons=True) for _ in range(2))
    places = [tmp_path / "out" / job.window.label for job in run.jobs]
    for place in places:
        place.mkdir(parents=True)
    with run.together():
        for job, place in zip(run.jobs, places, strict=True):
            job.run(place, Silent())
            if job is not run.jobs[-1]:
                with pytest.raises(StoreError, match="another process"), other.scratch(tmp_path / "out"):
                    pass
        # Whole: what was shared is no more.
        assert {each.name for each in (tmp_path / "out").iterdir()} == {place.name for place in places}
    with pytest.raises(NoData), run.together(), run.scratch(tmp_path / "out"):
        raise NoData("nothing")
    with other.scratch(tmp_path / "out"):
        pass


def test_documents_that_find_no_room_are_an_error_of_the_store(tmp_path, monkeypatch):
    """Also where a job is run by itself, without delivery."""

    def full(path, document):
        raise OSError(errno.ENOSPC, "full", str(path))

    archive = write_archive(tmp_path, some_scenes(2))
    (tmp_path / "out").mkdir()
    monkeypatch.setattr(composite, "write_document", full)
    with pytest.raises(StoreError, match="no space left"):
        planned(archive).jobs[0].run(tmp_path / "out", Silent())

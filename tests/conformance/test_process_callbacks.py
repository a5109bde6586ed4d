"""The class ``callback`` of OGC API Processes, which is stated only where the operator allows hosts."""

import threading

import pytest

from processors.jobs import worker
from processors.jobs.manager import declare_conformance
from processors.jobs.settings import JobSettings
from tests.conformance.process_service import AOI, ASYNC, SPEC, ProcessService, peer
from tests.processors.predict_world import make_predict_world
from tests.processors.test_worker import until
from tests.service.asking import client_of


def test_callback_job_callback(tmp_path_factory: pytest.TempPathFactory) -> None:
    """/conf/callback/job-callback: a real worker sends the results of a job to where the client wants them."""
    with peer() as other:
        settings = {"callback_hosts": (other.url,), "public_url": "http://service", "threads": 1}
        store = make_predict_world(tmp_path_factory.mktemp("callbacks")).store
        here = ProcessService(client_of(store, **settings), store, JobSettings(**settings))
        assert f"{SPEC}/conf/callback" in here.json("/conformance")["conformsTo"]
        subscriber = {"successUri": f"{other.url}/done", "inProgressUri": f"{other.url}/begun"}
        job = here.accepted(subscriber=subscriber)
        refused = here.execute({"inputs": {"aoi": AOI}, "subscriber": {"successUri": "http://127.0.0.1:1/"}}, **ASYNC)
        assert refused.status_code == 400
        stop = threading.Event()
        thread = threading.Thread(target=worker.run_worker, args=(store, here.settings, stop))
        thread.start()
        try:
            until(lambda: len(other.posted) == 2, 120)
        finally:
            stop.set()
            thread.join()
            # pygeoapi has one list of classes for all applications of a process.
            declare_conformance(callbacks=False)
        (begun, status), (done, results) = other.posted
        assert (begun, done) == ("/begun", "/done")
        assert (status["jobID"], status["status"]) == (job.rpartition("/")[2], "running")
        assert results == here.json(f"{job}/results")

"""Callbacks: a real listener, and everything that must not be called."""

import json
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from cup4soil.errors import InvalidInput
from processors.jobs import worker
from processors.jobs.callbacks import Callbacks, parse_subscriber
from processors.jobs.queue import Queue
from processors.jobs.settings import JobSettings
from tests.processors.test_worker import CHILD, until


@dataclass
class Listener:
    """What was posted, path and body; answers with the statuses told, the last for ever."""

    url: str = ""
    statuses: list[int] = field(default_factory=lambda: [204])
    heard: list[tuple[str, Any]] = field(default_factory=list)

    def status(self) -> int:
        return self.statuses.pop(0) if len(self.statuses) > 1 else self.statuses[0]


@pytest.fixture
def listener() -> Iterator[Listener]:
    found = Listener()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            found.heard.append((self.path, json.loads(body)))
            self.send_response(found.status())
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield found
        server.shutdown()
        thread.join()


def test_a_worker_tells_how_a_job_goes(listener: Listener, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = JobSettings(
        callback_hosts=(listener.url,), public_url="https://soil.example", job_memory_mib=1024, job_lease_seconds=5
    )
    queue = Queue(tmp_path, settings)
    subscriber = {name: f"{listener.url}/{name}?x=1" for name in ("successUri", "inProgressUri", "failedUri")}
    request = {"inputs": {"marker": str(tmp_path / "m")}, "outputs": None, "response": None, "subscriber": subscriber}
    done = queue.submit("wait", request).id
    failed = queue.submit("wait", request | {"inputs": request["inputs"] | {"end": "area"}}).id
    monkeypatch.setattr(worker, "_CHILD", (worker.sys.executable, "-I", CHILD))
    stop = threading.Event()
    thread = threading.Thread(target=worker.run_worker, args=(tmp_path, settings, stop))
    thread.start()
    try:
        until(lambda: len(listener.heard) == 4, 60)
    finally:
        stop.set()
        thread.join()
    (first, running), (second, results), _, (last, failure) = listener.heard
    assert (first, second, last) == ("/inProgressUri?x=1", "/successUri?x=1", "/failedUri?x=1")
    assert (running["jobID"], running["status"]) == (done, "running")
    assert results == {"out": {"href": f"https://soil.example/results/{done}/out.txt", "type": "text/plain"}}
    assert (failure["jobID"], failure["status"]) == (failed, "failed")
    assert failure["links"][0]["href"] == f"https://soil.example/ogc/jobs/{failed}"


def test_what_fails_is_tried_again_and_redirections_are_not_followed(listener: Listener) -> None:
    listener.statuses = [500, 503, 307]
    callbacks = Callbacks((listener.url,), waits_s=(0, 0, 0))
    callbacks.tell("j", {"successUri": f"{listener.url}/a"}, "successUri", {})
    until(lambda: len(listener.heard) == 3)
    callbacks.close()
    assert [path for path, _ in listener.heard] == ["/a"] * 3
    listener.statuses = [404]
    again = Callbacks((listener.url,), waits_s=(0, 0, 0))
    again.tell("j", {"successUri": f"{listener.url}/b"}, "successUri", {})
    until(lambda: len(listener.heard) == 4)
    again.close()
    assert len(listener.heard) == 4


def test_a_listener_that_is_not_there_does_no_harm(caplog: pytest.LogCaptureFixture) -> None:
    callbacks = Callbacks(("http://127.0.0.1:1",), waits_s=(0, 0))
    callbacks.tell("j", {"successUri": "http://127.0.0.1:1/secret"}, "successUri", {})
    until(lambda: caplog.records)
    callbacks.close()
    assert "127.0.0.1 failed: ConnectionRefusedError" in caplog.text
    assert "secret" not in caplog.text


def test_what_is_not_allowed_any_more_is_not_called(listener: Listener) -> None:
    callbacks = Callbacks(("https://hooks.example",), waits_s=(0,))
    callbacks.tell("j", {"successUri": f"{listener.url}/a"}, "successUri", {})
    callbacks.tell("j", {"failedUri": "https://hooks.example/a"}, "successUri", {})
    callbacks.close()
    time.sleep(0.05)
    assert listener.heard == []


ALLOWED = ("hooks.example", "http://inner.example:8080")


@pytest.mark.parametrize(
    "address",
    [
        "http://hooks.example/x",
        "https://hooks.example:444/x",
        "https://hooks.example.evil.test/x",
        "https://evil.test/hooks.example",
        "https://hooks.example@evil.test/",
        "https://evil.test#@hooks.example/",
        "https://user:word@hooks.example/",
        "https://evil.test\\@hooks.example/",
        "//hooks.example/x",
        "file:///etc/passwd",
        "http://169.254.169.254/",
        "http://inner.example/x",
        "https://hooks.example/x\r\nHost: evil.test",
        "https://hooks.example:x/",
        "https://[::1",
        "https://hooks.example/" + "x" * 3000,
        "",
        7,
        None,
    ],
)
def test_other_addresses_are_refused(address: object) -> None:
    with pytest.raises(InvalidInput, match="successUri"):
        parse_subscriber({"successUri": address}, ALLOWED)


@pytest.mark.parametrize(
    "given", [None, [], {}, "x", {"failedUri": "https://hooks.example/"}, {"successUri": 1, "a": 2}]
)
def test_other_forms_are_refused(given: object) -> None:
    with pytest.raises(InvalidInput):
        parse_subscriber(given, ALLOWED)


def test_allowed_addresses_are_taken_and_nothing_by_default() -> None:
    given = {"successUri": "https://hooks.example/x?y=1", "failedUri": "http://inner.example:8080/"}
    assert parse_subscriber(given, ALLOWED) == given
    with pytest.raises(InvalidInput, match="not offered"):
        parse_subscriber(given, ())

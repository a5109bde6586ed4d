"""The service on a store with models to predict from, in this process, for the tests of OGC API Processes."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from email.parser import BytesParser
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx

from cup4soil.progress import Silent
from processors.jobs.folders import JobFolders, size_of
from processors.jobs.queue import Queue
from processors.jobs.results import write_results
from processors.jobs.settings import JobSettings
from processors.processes import process
from tests.processors.predict_world import polygon
from tests.service.asking import Client

ID = "predict-soil-property"
SPEC = "http://www.opengis.net/spec/ogcapi-processes-1/1.0"
RELATION = "http://www.opengis.net/def/rel/ogc/1.0"
EXCEPTIONS = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0"
AOI = polygon((600, 100), (900, 100), (900, 400))
ASYNC = {"Prefer": "respond-async"}


@dataclass(frozen=True)
class ProcessService:
    """The service asked through ``client``, and the store that it works on."""

    client: Client
    store: Path
    settings: JobSettings

    def get(self, path: str, **more: Any) -> httpx.Response:
        return self.client.get(path if path.startswith("http") else f"/ogc{path}", **more)

    def json(self, path: str) -> Any:
        answer = self.get(path, headers={"Accept": "application/json"})
        assert answer.status_code == 200, answer.text[:300]
        return answer.json()

    def execute(self, body: Any = None, **headers: str) -> httpx.Response:
        sent = {"inputs": {"aoi": AOI}} if body is None else body
        return self.client.post(f"/ogc/processes/{ID}/execution", json=sent, headers=headers)

    def accepted(self, **body: Any) -> str:
        """Address of a job that waits."""
        answer = self.execute({"inputs": {"aoi": AOI}} | body, **ASYNC)
        assert answer.status_code == 201, answer.text
        return answer.headers["location"]

    def done(self, **body: Any) -> str:
        """Address of a job that has been worked off, as a worker does it but for the child process."""
        address = self.accepted(**body)
        queue = Queue(self.store, self.settings)
        folders = JobFolders(queue.folder)
        *others, claim = iter(queue.claim, None)
        for each in others:
            # They wait as before.
            queue.release(each)
        job = claim.job
        plan = process(job.process).plan(self.store, self.settings, job.request["inputs"])
        with folders.attempt(job.id) as folder:
            write_results(folder, plan.run(folder, Silent()))
            assert queue.finish(claim, size=size_of(folder), publish=lambda: folders.publish(job.id, folder))
        return address


def parts_of(answer: httpx.Response) -> dict[str, Message]:
    """The parts of a multipart answer by their Content-ID."""
    head = f"Content-Type: {answer.headers['content-type']}\r\n\r\n".encode()
    parts = BytesParser().parsebytes(head + answer.content).get_payload()
    assert isinstance(parts, list)
    return {str(part["Content-ID"]).strip("<>"): part for part in parts}


def content_of(part: Message) -> bytes:
    found = part.get_payload(decode=True)
    assert isinstance(found, bytes)
    return found


def links_of(answer: httpx.Response, rel: str) -> dict[str, str]:
    """Addresses in the headers Link of a relation, by title."""
    found = {}
    for text in answer.headers.get_list("link"):
        for each in text.split(", <"):
            address, *parameters = each.strip("<").split(";")
            named = dict(part.strip().split("=", 1) for part in parameters)
            if named["rel"].strip('"') == rel:
                found[named.get("title", "").strip('"')] = address.rstrip(">")
    return found


@dataclass
class Peer:
    """Another server: gives ``documents`` by path, and keeps what is posted to it."""

    url: str = ""
    documents: dict[str, bytes] = field(default_factory=dict)
    posted: list[tuple[str, Any]] = field(default_factory=list)


@contextmanager
def peer() -> Iterator[Peer]:
    found = Peer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = found.documents.get(self.path)
            self.send_response(302 if self.path == "/moved" else 404 if content is None else 200)
            self.send_header("Location", "/area.json")
            self.send_header("Content-Length", str(len(content or b"")))
            self.end_headers()
            self.wfile.write(content or b"")

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            found.posted.append((self.path, json.loads(body)))
            self.send_response(204)
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

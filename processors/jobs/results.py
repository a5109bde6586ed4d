"""Results of a job as they are kept, and as clients ask for them."""

import base64
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cup4soil.errors import LimitExceeded
from processors.jobs.requests import ExecuteRequest

RESULTS_FILE = "results.json"
_LARGEST_INLINE = 64 * 2**20
_BOUNDARY = "cup4soil-output"

type Link = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class RawOutput:
    """One output as it is: the content of ``file``, or ``value`` as JSON."""

    name: str
    media_type: str
    file: Path | None = None
    value: object = None

    def content(self) -> bytes:
        """The bytes.

        Raises:
            LimitExceeded: when they are too many for one answer.
        """
        if self.file is None:
            return json.dumps(self.value).encode()
        size = self.file.stat().st_size
        if size > _LARGEST_INLINE:
            raise LimitExceeded(
                f"output {self.name} has {size} bytes, the limit for a value is {_LARGEST_INLINE}",
                "ask for it with transmissionMode reference",
            )
        return self.file.read_bytes()


@dataclass(frozen=True, slots=True)
class Results:
    """Outputs of a successful job: ``outputs`` by name as the process gave them, ``path`` finds a file of theirs."""

    job_id: str
    request: ExecuteRequest
    outputs: Mapping[str, Mapping[str, Any]]
    path: Callable[[str], Path]

    @property
    def raw(self) -> tuple[RawOutput, ...]:
        """The outputs asked for as they are; none where a document is asked for."""
        return tuple(self._raw(name) for name in self._asked) if self.request.is_raw else ()

    def document(self, link: Link | None) -> dict[str, Any]:
        """The outputs asked for as one JSON object; files as links that ``link`` makes of their names.

        Without ``link``, or where the client wants values, files stand in it in base64.
        """
        return {name: self._shown(name, link) for name in self._asked}

    @property
    def _asked(self) -> tuple[str, ...]:
        wanted = self.request.outputs
        return tuple(name for name in self.outputs if wanted is None or name in wanted)

    def _shown(self, name: str, link: Link | None) -> object:
        output = self.outputs[name]
        if "value" in output:
            return output["value"]
        wanted = None if self.request.outputs is None else self.request.outputs[name]
        if link is not None and wanted != "value":
            return {"href": link(output["file"]), "type": output["type"]}
        content = base64.b64encode(self._raw(name).content()).decode()
        return {"value": content, "encoding": "base64", "mediaType": output["type"]}

    def _raw(self, name: str) -> RawOutput:
        output = self.outputs[name]
        if "value" in output:
            return RawOutput(name, "application/json", value=output["value"])
        return RawOutput(name, output["type"], self.path(output["file"]))


def multipart(outputs: tuple[RawOutput, ...]) -> tuple[str, bytes]:
    """Several outputs in one body: its media type (``multipart/related``) and its bytes."""
    boundary = _BOUNDARY
    contents = [output.content() for output in outputs]
    while any(boundary.encode() in content for content in contents):
        boundary += "-"
    parts = [
        f"--{boundary}\r\nContent-ID: <{output.name}>\r\nContent-Type: {output.media_type}\r\n\r\n".encode()
        + content
        + b"\r\n"
        for output, content in zip(outputs, contents, strict=True)
    ]
    return f'multipart/related; boundary="{boundary}"', b"".join(parts) + f"--{boundary}--\r\n".encode()


def write_results(folder: Path, outputs: Mapping[str, Mapping[str, Any]]) -> None:
    """Keep what a process gave beside the files it wrote."""
    (folder / RESULTS_FILE).write_text(json.dumps(outputs), encoding="utf-8")

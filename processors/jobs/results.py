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
_JSON = "application/json"
_LARGEST_INLINE = 64 * 2**20
_BOUNDARY = "cup4soil-output"

type Link = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Output:
    """One output: the content of ``file``, which an address leads to, or ``value`` as JSON."""

    name: str
    media_type: str
    file: Path
    value: object = None
    by_reference: bool = False

    @property
    def is_value(self) -> bool:
        """True when it stands in a document as it is."""
        return self.value is not None

    def content(self) -> bytes:
        """The bytes.

        Raises:
            LimitExceeded: when they are too many for one answer.
        """
        if self.is_value:
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
    def asked(self) -> tuple[Output, ...]:
        """The outputs asked for."""
        wanted = self.request.outputs
        return tuple(self._output(name) for name in self.outputs if wanted is None or name in wanted)

    def document(self, link: Link | None) -> dict[str, Any]:
        """The outputs asked for as one JSON object; files as links that ``link`` makes of their names.

        Without ``link``, or where the client wants values, files stand in it in base64.
        """
        return {output.name: self._shown(output, link) for output in self.asked}

    def _shown(self, output: Output, link: Link | None) -> object:
        if link is not None and output.by_reference:
            return {"href": link(output.file.name), "type": output.media_type}
        if output.is_value:
            return output.value
        wanted = None if self.request.outputs is None else self.request.outputs[output.name]
        if link is not None and wanted != "value":
            return {"href": link(output.file.name), "type": output.media_type}
        content = base64.b64encode(output.content()).decode()
        return {"value": content, "encoding": "base64", "mediaType": output.media_type}

    def _output(self, name: str) -> Output:
        output = self.outputs[name]
        wanted = None if self.request.outputs is None else self.request.outputs[name]
        file = self.path(output["file"])
        return Output(name, output["type"], file, output.get("value"), wanted == "reference")


def multipart(outputs: tuple[Output, ...], link: Link) -> tuple[str, bytes]:
    """Several outputs in one body: its media type (``multipart/related``) and its bytes.

    The part of an output asked for by reference is empty and tells its address.
    """
    boundary = _BOUNDARY
    contents = [b"" if output.by_reference else output.content() for output in outputs]
    while any(boundary.encode() in content for content in contents):
        boundary += "-"
    parts = [
        f"--{boundary}\r\n{_head(output, link)}\r\n".encode() + content + b"\r\n"
        for output, content in zip(outputs, contents, strict=True)
    ]
    return f'multipart/related; boundary="{boundary}"', b"".join(parts) + f"--{boundary}--\r\n".encode()


def _head(output: Output, link: Link) -> str:
    lines = {"Content-ID": f"<{output.name}>", "Content-Type": output.media_type}
    if output.by_reference:
        lines["Content-Location"] = link(output.file.name)
    return "".join(f"{name}: {text}\r\n" for name, text in lines.items())


def write_results(folder: Path, outputs: Mapping[str, Mapping[str, Any]]) -> None:
    """Keep what a process gave beside the files it wrote; a value gets a file of its own, to be referred to."""
    kept = {}
    for name, output in outputs.items():
        kept[name] = dict(output)
        if "value" in output:
            kept[name] |= {"file": f"{name}.json", "type": _JSON}
            (folder / f"{name}.json").write_text(json.dumps(output["value"]), encoding="utf-8")
    (folder / RESULTS_FILE).write_text(json.dumps(kept), encoding="utf-8")

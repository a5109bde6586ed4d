"""Logs: one line for each event, as text or as JSON, with the request or the job it belongs to."""

import json
import logging
import re
import sys
import uuid
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final

from service.settings import ServiceSettings

# Of the request that this task or thread works on.
REQUEST: ContextVar[str | None] = ContextVar("request", default=None)
# What a log call may add by ``extra``, and how JSON calls it.
FIELDS: Final = ("job", "client", "method", "path", "route", "status", "duration_ms", "bytes")
_GIVEN = re.compile(r"[A-Za-z0-9._-]{1,64}")


def request_id(given: str | None) -> str:
    """The id that a proxy gave a request where it is harmless, else a new one."""
    return given if given is not None and _GIVEN.fullmatch(given) else uuid.uuid4().hex


def configure(settings: ServiceSettings) -> None:
    """Send the logs of this process to standard error, in the form and from the level that are set."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines() if settings.log_format == "json" else Lines())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(settings.log_level.upper())
    # Libraries tell more than an operator wants to read; their faults still come through.
    for name in ("rasterio", "matplotlib", "distributed", "httpx", "asyncio", "uvicorn", "numba", "pygeoapi"):
        logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
    # It takes every member of an object for a language, and says of each that it knows no such language.
    logging.getLogger("pygeoapi.l10n").setLevel(logging.ERROR)


class JsonLines(logging.Formatter):
    """``{"time": ..., "level": ..., "logger": ..., "message": ..., "request": ..., "job": ...}``"""

    def format(self, record: logging.LogRecord) -> str:
        """One line, whatever the message holds."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        } | _about(record)
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class Lines(logging.Formatter):
    """For people: time, level, message, then what is known of the request or the job."""

    def format(self, record: logging.LogRecord) -> str:
        """One line, and below it what was raised."""
        time = datetime.fromtimestamp(record.created).astimezone().isoformat(timespec="seconds")
        about = "".join(f" {name}={value}" for name, value in _about(record).items() if name in ("request", "job"))
        # A client must not write lines of its own into the log.
        message = record.getMessage().replace("\r", "\\r").replace("\n", "\\n")
        text = f"{time} {record.levelname:<7} {message}{about}"
        return f"{text}\n{self.formatException(record.exc_info)}" if record.exc_info else text


def _about(record: logging.LogRecord) -> dict[str, Any]:
    found = {"request": getattr(record, "request", None) or REQUEST.get()}
    found |= {name: getattr(record, name, None) for name in FIELDS}
    return {name: value for name, value in found.items() if value is not None}

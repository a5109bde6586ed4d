"""Pages about jobs: the list of a client's, the state of one, what one has made."""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from processors.jobs.results import Link, Results
from processors.pages import page

_UNITS = ("bytes", "KiB", "MiB", "GiB")


def job_list_page(document: Mapping[str, Any], root: str) -> str:
    """The page of a list of jobs (as :func:`processors.jobs.documents.job_list` makes it)."""
    return page("job_list_page.html", root, document=document, links=_by_rel(document["links"]))


def job_page(document: Mapping[str, Any], root: str) -> str:
    """The page of a job's status (as :func:`processors.jobs.documents.status_info` makes it)."""
    times = {name: document[name] for name in ("created", "started", "finished", "updated") if name in document}
    waiting = document["status"] in ("accepted", "running")
    return page("job_page.html", root, document=document, times=times, waiting=waiting)


def results_page(results: Results, until: datetime, root: str, link: Link) -> str:
    """The page of a job's results, whatever form they were asked for in; they are kept ``until``."""
    outputs = [
        {
            "name": output.name,
            "href": link(output.file.name),
            "type": output.media_type,
            "size": size_text(output.file.stat().st_size),
            "value": json.dumps(output.value, indent=1, ensure_ascii=False) if output.is_value else None,
            "is_picture": output.media_type.startswith("image/png"),
        }
        for output in results.asked
    ]
    return page("job_results_page.html", root, job=results.job_id, outputs=outputs, until=f"{until:%Y-%m-%d %H:%M} UTC")


def size_text(size: float) -> str:
    """A number of bytes in the largest unit that leaves at least one of it."""
    unit = _UNITS[0]
    for unit in _UNITS:
        if size < 1024 or unit == _UNITS[-1]:
            break
        size /= 1024
    return f"{size:.3g} {unit}" if unit != _UNITS[0] else f"{size:.0f} {unit}"


def _by_rel(links: Sequence[Mapping[str, str]]) -> dict[str, str]:
    return {link["rel"]: link["href"] for link in links}

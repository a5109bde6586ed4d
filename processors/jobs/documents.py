"""Jobs as OGC API Processes shows them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from processors.jobs.job import Job

_REL = "http://www.opengis.net/def/rel/ogc/1.0/"
_JSON = "application/json"
_MEDIA_TYPES = {"json": _JSON, "html": "text/html"}


def status_info(job: Job, base: str) -> dict[str, Any]:
    """The status of a job; ``base`` is the address of the OGC API, without a slash at the end."""
    times = {"created": job.created, "started": job.started, "finished": job.finished, "updated": job.updated}
    return {
        "processID": job.process,
        "type": "process",
        "jobID": job.id,
        "status": job.status,
        "message": job.message,
        "progress": job.progress,
        **{name: instant(time) for name, time in times.items() if time is not None},
        "links": _links(job, base),
    }


def job_list(
    jobs: Sequence[Job],
    matched: int,
    base: str,
    given: Sequence[tuple[str, str]] = (),
    *,
    limit: int,
    offset: int,
    form: str = "json",
) -> dict[str, Any]:
    """A page of the list of jobs, with links to its neighbours; ``given`` are the parameters that chose them.

    ``form`` is the value of ``f``, json or html, in which it and its neighbours are read.
    """

    def page(rel: str, first: int, title: str, form: str = form) -> dict[str, str]:
        query = urlencode([*given, ("f", form), ("limit", limit), ("offset", first)])
        return _link(rel, f"{base}/jobs?{query}", title, _MEDIA_TYPES[form])

    others = [
        page("alternate", offset, f"This page as {other.upper()}", other) for other in _MEDIA_TYPES if other != form
    ]
    links = [page("self", offset, "This page"), *others]
    if offset + len(jobs) < matched and jobs:
        links.append(page("next", offset + limit, "Older jobs"))
    if offset:
        links.append(page("prev", max(0, offset - limit), "Newer jobs"))
    return {"jobs": [status_info(job, base) for job in jobs], "numberMatched": matched, "links": links}


def instant(time: datetime) -> str:
    """A time as RFC 3339 has it, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _links(job: Job, base: str) -> list[dict[str, str]]:
    own = f"{base}/jobs/{job.id}"
    links = [
        _link("self", own, "Status of the job"),
        _link("alternate", f"{own}?f=html", "Status of the job as HTML", _MEDIA_TYPES["html"]),
        _link("up", f"{base}/jobs", "Jobs"),
    ]
    if job.status == "successful":
        links.append(_link(f"{_REL}results", f"{own}/results", "Results of the job"))
    if job.status == "failed":
        links.append(_link(f"{_REL}exceptions", f"{own}/results", "Why the job failed"))
    return links


def _link(rel: str, href: str, title: str, kind: str = _JSON) -> dict[str, str]:
    return {"rel": rel, "href": href, "type": kind, "title": title}

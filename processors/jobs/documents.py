"""Jobs as OGC API Processes shows them."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from processors.jobs.queue import Job

_REL = "http://www.opengis.net/def/rel/ogc/1.0/"
_JSON = "application/json"


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
    jobs: Sequence[Job], matched: int, base: str, given: Sequence[tuple[str, str]] = (), *, limit: int, offset: int
) -> dict[str, Any]:
    """A page of the list of jobs, with links to its neighbours; ``given`` are the parameters that chose them."""

    def page(first: int) -> str:
        return f"{base}/jobs?{urlencode([*given, ('limit', limit), ('offset', first)])}"

    links = [_link("self", page(offset), "This page")]
    if offset + len(jobs) < matched and jobs:
        links.append(_link("next", page(offset + limit), "Older jobs"))
    if offset:
        links.append(_link("prev", page(max(0, offset - limit)), "Newer jobs"))
    return {"jobs": [status_info(job, base) for job in jobs], "numberMatched": matched, "links": links}


def instant(time: datetime) -> str:
    """A time as RFC 3339 has it, in UTC."""
    return time.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _links(job: Job, base: str) -> list[dict[str, str]]:
    own = f"{base}/jobs/{job.id}"
    links = [_link("self", own, "Status of the job"), _link("up", f"{base}/jobs", "Jobs")]
    if job.status == "successful":
        links.append(_link(f"{_REL}results", f"{own}/results", "Results of the job"))
    if job.status == "failed":
        links.append(_link(f"{_REL}exceptions", f"{own}/results", "Why the job failed"))
    return links


def _link(rel: str, href: str, title: str) -> dict[str, str]:
    return {"rel": rel, "href": href, "type": _JSON, "title": title}

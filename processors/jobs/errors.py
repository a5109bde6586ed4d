"""Errors that only a service with jobs knows.

``problem_type`` is the address that OGC API Processes gives the error; a response carries it as ``type``.
"""

from typing import ClassVar

from cup4soil.errors import Cup4soilError, LimitExceeded, NotFound

_OGC = "http://www.opengis.net/def/exceptions/ogcapi-processes-1/1.0/"


class NoSuchProcess(NotFound):
    """There is no process of this name."""

    problem_type: ClassVar[str] = _OGC + "no-such-process"


class NoSuchJob(NotFound):
    """There is no job of this id, or no more."""

    problem_type: ClassVar[str] = _OGC + "no-such-job"


class ResultsGone(NotFound):
    """The job is known, but its results are not kept any more and will not come back."""


class ResultNotReady(NotFound):
    """The job has not finished yet."""

    problem_type: ClassVar[str] = _OGC + "result-not-ready"


class Busy(LimitExceeded):
    """The request is in order, but too much is waiting already: the same may be sent again later."""


class JobFailed(Cup4soilError):
    """A job ended for a reason that is not in its inputs."""

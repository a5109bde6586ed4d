"""Why a job failed, as it is kept in the queue and told to the client."""

import json
from dataclasses import asdict, dataclass
from typing import Self

from cup4soil import errors
from cup4soil.errors import Cup4soilError
from processors.jobs.errors import Busy, JobFailed

_KINDS: dict[str, type[Cup4soilError]] = {
    each.__name__: each
    for each in (*vars(errors).values(), Busy, JobFailed)
    if isinstance(each, type) and issubclass(each, Cup4soilError)
}


@dataclass(frozen=True, slots=True)
class Failure:
    """``kind`` is the name of an error class; ``problem`` and ``hint`` are its words."""

    kind: str
    problem: str
    hint: str = ""

    @classmethod
    def of(cls, error: Cup4soilError) -> Self:
        """What ``error`` says; of an error this module does not know, the nearest class it does."""
        kind = next(each.__name__ for each in type(error).__mro__ if each.__name__ in _KINDS)
        return cls(kind, error.problem, error.hint)

    @classmethod
    def unexpected(cls) -> Self:
        """A fault of the program: what it was stands in the worker's log."""
        return cls("JobFailed", "the job ended by a fault of the service", "tell the operator its id")

    @classmethod
    def of_signal(cls, number: int, times: int) -> Self:
        """The system ended the job so many times."""
        return cls("JobFailed", f"the system ended the job {times} times (signal {number})", "choose a smaller area")

    @classmethod
    def of_memory(cls, limit_mib: int) -> Self:
        """The job wanted more memory than it may have."""
        return cls(
            "LimitExceeded", f"the job needs more memory than its limit of {limit_mib} MiB", "choose a smaller area"
        )

    @classmethod
    def of_time(cls, limit_s: int) -> Self:
        """The job took too long."""
        return cls("LimitExceeded", f"the job took longer than the limit of {limit_s} s", "choose a smaller area")

    @classmethod
    def of_cluster(cls) -> Self:
        """The cluster for large jobs was not there."""
        return cls("ClusterLost", "the cluster that computes large jobs cannot be reached", "start it again later")

    @classmethod
    def of_lost_workers(cls, attempts: int) -> Self:
        """Every worker that took the job died over it."""
        return cls("JobFailed", f"the worker died {attempts} times over this job", "choose a smaller area")

    def error(self) -> Cup4soilError:
        """The error to raise where the results are asked for."""
        return _KINDS.get(self.kind, JobFailed)(self.problem, self.hint)

    def to_json(self) -> str:
        """As text; see :meth:`from_json`."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What :meth:`to_json` wrote."""
        return cls(**json.loads(text))

    def __str__(self) -> str:
        """One line, as all errors."""
        return f"{self.problem}; {self.hint}" if self.hint else self.problem

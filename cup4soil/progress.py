"""How long work tells where it stands."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

type Advance = Callable[[], None]


class Progress(Protocol):
    """Shows the steps of a run: ``with progress.step("Reading", 12) as advance: ...; advance()``."""

    def step(self, title: str, total: int) -> AbstractContextManager[Advance]:
        """Begin a step of ``total`` equal parts; the context gives the function that completes one."""
        ...


class Silent:
    """Shows nothing."""

    def step(self, title: str, total: int) -> AbstractContextManager[Advance]:  # noqa: ARG002
        """See :class:`Progress`."""
        return nullcontext(lambda: None)

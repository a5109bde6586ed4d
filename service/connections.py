"""Connections that take too long are ended: uvicorn waits without end for a request, its body, or a reader.

A client that sends a byte now and then, or reads none, would else hold a connection, and with it the answer's memory, for
as long as it likes.
"""

from asyncio import TimerHandle, Transport
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from uvicorn.protocols.http.h11_impl import H11Protocol

# Of the shortest time allowed, how often connections are looked at.
_LOOKS = 4
# Slower readers are taken for stalled (bytes per second).
_LEAST_RATE = 10 * 1024

type _Phase = Literal["head", "body", "answer"]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long (s) a request's head and its body may take to come, and a reader may stall; and most connections."""

    head_s: float
    body_s: float
    stalled_s: float
    most_connections: int


class PatientProtocol(H11Protocol):
    """HTTP/1.1 with an end to every wait. Where there are too many connections, the one that has waited longest goes."""

    def __init__(self, *arguments: Any, patience: Patience, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._patience = patience
        self._allowed = {"head": patience.head_s, "body": patience.body_s}
        self._step = min(patience.head_s, patience.body_s, patience.stalled_s) / _LOOKS
        self._seen: tuple[_Phase, int] = ("head", 0)
        self._since = self._moved = self.loop.time()
        self._unsent = 0
        self._next: TimerHandle | None = None

    @property
    def waiting_since(self) -> float | None:
        """When the connection began to wait for a request; None where it has one."""
        return self._since if self._phase == "head" else None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """See asyncio."""
        if len(self.connections) >= self._patience.most_connections:
            self._make_room()
        super().connection_made(transport)
        self._next = self.loop.call_later(self._step, self._look)

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio."""
        if self._next is not None:
            self._next.cancel()
        super().connection_lost(exc)

    def resume_writing(self) -> None:
        """See asyncio: the reader has taken most of what there was."""
        self._moved = self.loop.time()
        super().resume_writing()

    @property
    def _phase(self) -> _Phase:
        if self.cycle is None or self.cycle.response_complete:
            return "head"
        return "body" if self.cycle.more_body else "answer"

    def _make_room(self) -> None:
        idle = [each for each in self.connections if isinstance(each, PatientProtocol) and each.waiting_since]
        if idle:
            min(idle, key=lambda each: each.waiting_since or 0.0).transport.abort()

    def _look(self) -> None:
        if self._too_long() or self._stalled():
            self.transport.abort()
            return
        self._next = self.loop.call_later(self._step, self._look)

    def _too_long(self) -> bool:
        """True when a head or a body has been on its way for too long."""
        now, seen = self.loop.time(), (self._phase, id(self.cycle))
        if seen != self._seen:
            self._seen, self._since = seen, now
        return now - self._since > self._allowed.get(self._phase, float("inf"))

    def _stalled(self) -> bool:
        """True when the reader has taken too little of what is ready for it."""
        now, unsent = self.loop.time(), self.transport.get_write_buffer_size()
        enough = self._unsent - unsent >= _LEAST_RATE * self._patience.stalled_s
        if unsent == 0 or unsent > self._unsent or enough:
            self._unsent, self._moved = unsent, now
        return now - self._moved > self._patience.stalled_s


def protocol_of(patience: Patience) -> Callable[..., PatientProtocol]:
    """What uvicorn makes for each connection; it can be handed to other processes."""
    return partial(PatientProtocol, patience=patience)

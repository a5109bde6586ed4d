"""Connections that take too long are ended: uvicorn waits without end for a request, its body, or a reader.

A client that sends a byte now and then, or reads none, would else hold a connection, and with it the memory of its
answer, for as long as it likes.
"""

import fcntl
import math
import sys
import termios
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

type _Phase = Literal["idle", "head", "body", "work", "answer"]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long (s) a request's head and its body may take to come, and a reader may stall; and most connections."""

    head_s: float
    body_s: float
    stalled_s: float
    most_connections: int


class PatientProtocol(H11Protocol):
    """HTTP/1.1 with an end to every wait. Where connections are too many, the one that has waited longest goes.

    Waits are counted in looks, not taken from the clock: while the process itself is held up, nobody else is late.
    """

    def __init__(self, *arguments: Any, patience: Patience, **more: Any) -> None:
        super().__init__(*arguments, **more)
        self._most_connections = patience.most_connections
        self._step = min(patience.head_s, patience.body_s, patience.stalled_s) / _LOOKS
        self._looks = {
            "head": patience.head_s / self._step,
            "body": patience.body_s / self._step,
            "answer": patience.stalled_s / self._step,
        }
        self._enough = _LEAST_RATE * patience.stalled_s
        self._seen: tuple[_Phase, int] = ("head", 0)
        self._count = self._unsent = 0
        self._next: TimerHandle | None = None

    def connection_made(self, transport: Transport) -> None:  # type: ignore[override]
        """See asyncio."""
        if len(self.connections) >= self._most_connections:
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
        self._count = 0
        super().resume_writing()

    @property
    def _phase(self) -> _Phase:
        if self.transport.get_write_buffer_size():
            return "answer"
        if self.timeout_keep_alive_task is not None:
            return "idle"  # which uvicorn ends
        if self.cycle is None or self.cycle.response_complete:
            return "head"
        return "body" if self.cycle.more_body else "work"

    def _make_room(self) -> None:
        waiting = [
            each
            for each in self.connections
            if isinstance(each, PatientProtocol) and each._phase in ("idle", "head") and not each.transport.is_closing()
        ]
        if waiting:
            max(waiting, key=lambda each: each._count).transport.abort()

    def _untaken(self) -> int:
        """Bytes that the reader has not taken yet, those included that wait in the system."""
        own = self.transport.get_write_buffer_size()
        connection = self.transport.get_extra_info("socket")
        if connection is None or connection.fileno() < 0:
            return own
        waiting = fcntl.ioctl(connection.fileno(), termios.TIOCOUTQ, bytes(4))  # Linux: SIOCOUTQ, see tcp(7)
        return own + int.from_bytes(waiting, sys.byteorder)

    def _look(self) -> None:
        seen, unsent = (self._phase, id(self.cycle)), self._untaken()
        if seen != self._seen or unsent > self._unsent or self._unsent - unsent >= self._enough:
            self._seen, self._unsent, self._count = seen, unsent, 0
        self._count += 1
        if self._count > self._looks.get(self._phase, math.inf):
            self.transport.abort()
            return
        self._next = self.loop.call_later(self._step, self._look)


def protocol_of(patience: Patience) -> Callable[..., PatientProtocol]:
    """What uvicorn makes for each connection; it can be handed to other processes."""
    return partial(PatientProtocol, patience=patience)

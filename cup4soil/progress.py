"""How long work tells where it stands."""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

# An estimate looks back over the longer of a minute and a quarter of the time worked, and over at least five parts.
_WINDOW_SECONDS = 60.0
_WINDOW_SHARE = 0.25
_WINDOW_PARTS = 5
# Before this the rate says little.
_LEAST_SECONDS = 2.0
# What was this many times faster than all that followed was found, not made.
_BURST_FACTOR = 5.0
_POINTS_PER_TIME = 128
_LEAST_SPACING_SECONDS = 0.25


class Advance(Protocol):
    """Completes ``parts`` parts of a step at once; may be called from several threads."""

    def __call__(self, parts: int = 1, /) -> None:
        """See the class."""
        ...


class Progress(Protocol):
    """Shows the steps of a run: ``with progress.step("Reading", 12) as advance: ...; advance()``."""

    def step(self, title: str, total: int) -> AbstractContextManager[Advance]:
        """Begin a step of ``total`` equal parts; the context gives the function that completes some."""
        ...


class Silent:
    """Shows nothing."""

    def step(self, title: str, total: int) -> AbstractContextManager[Advance]:  # noqa: ARG002
        """See :class:`Progress`."""
        return nullcontext(_nothing)


def _nothing(parts: int = 1, /) -> None:
    """Complete parts unseen."""


class Pace:
    """Estimates the time to go from the recent rate.

    The rate is that of the last minute or, if that is longer, of the last quarter of the time worked. Parts that came
    in a burst at the start, because an earlier run had made them, do not count. Not for several threads at once.
    """

    def __init__(self, total: int, clock: Callable[[], float]) -> None:
        """``total`` parts are to be done; ``clock`` gives the time in seconds."""
        self.total = total
        self.done = 0
        self._clock = clock
        self._start = self._last = clock()
        # Times, and how many parts were done at each; ever sparser, so that a week of work needs a few thousand.
        self._points: list[tuple[float, int]] = [(self._start, 0)]

    def add(self, parts: int) -> None:
        """Count ``parts`` that are done now."""
        now = self._clock()
        # A pause ends what came before it: the place where a burst may have ended.
        if self.done and self._due(self._last, now):
            self._mark(self._last)
        self.done += parts
        self._last = now
        if self._due(self._points[-1][0], now):
            self._mark(now)

    def seconds_to_go(self) -> float | None:
        """Estimated time until all parts are done, None while there is too little to tell it from."""
        if self.done >= self.total:
            return 0.0
        now = self._clock()
        points = [*self._points, (self._last, self.done)]
        time, done = self._window(points, self._burst_end(points, now), now)
        seconds, parts = now - time, self.done - done
        if parts < 1 or seconds <= 0 or now - self._start < _LEAST_SECONDS:
            return None
        return (self.total - self.done) * seconds / parts

    def _due(self, since: float, now: float) -> bool:
        return now - since >= max(_LEAST_SPACING_SECONDS, (now - self._start) / _POINTS_PER_TIME)

    def _mark(self, time: float) -> None:
        if self._points[-1] != (time, self.done):
            self._points.append((time, self.done))

    def _burst_end(self, points: list[tuple[float, int]], now: float) -> int:
        """Place of the point that parts the quickest beginning from the rest; 0 where it was not that much quicker."""
        best, end = _BURST_FACTOR, 0
        for place, (time, done) in enumerate(points[1:], 1):
            if now > time:
                before = done / max(time - self._start, 1e-3)
                # One part more than was seen: a part may be about to be done.
                after = (self.done - done + 1) / (now - time)
                if before > best * after:
                    best, end = before / after, place
        return end

    def _window(self, points: list[tuple[float, int]], first: int, now: float) -> tuple[float, int]:
        """The latest point that is far enough back in time and in parts, at the earliest the one at ``first``."""
        reach = max(_WINDOW_SECONDS, _WINDOW_SHARE * (now - points[first][0]))
        for time, done in reversed(points[first:]):
            if now - time >= reach and self.done - done >= _WINDOW_PARTS:
                return time, done
        return points[first]

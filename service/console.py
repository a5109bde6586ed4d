"""What the command line shows while it works and when it is done."""

import json
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

from cup4soil.progress import Advance, Pace

_LOG_SECONDS = 10.0
_MINUTE, _HOUR, _DAY = 60, 3600, 86_400


class ConsoleProgress:
    """Progress on standard error: bars on a terminal, in a log a line at least every ten seconds.

    ``clock`` gives seconds.
    """

    def __init__(self, console: Console | None = None, clock: Callable[[], float] = time.monotonic) -> None:
        self._console = console or Console(stderr=True)
        self._clock = clock

    @contextmanager
    def step(self, title: str, total: int) -> Iterator[Advance]:
        """See :class:`cup4soil.progress.Progress`."""
        started = self._clock()
        pace = Pace(total, self._clock)
        with self._bar(title, pace) if self._console.is_terminal else self._log(title, pace) as advance:
            yield advance
        self._print(f"{title}: done in {self._clock() - started:.1f} s")

    @contextmanager
    def _bar(self, title: str, pace: Pace) -> Iterator[Advance]:
        lock = threading.Lock()

        def to_go() -> str:
            with lock:
                return _to_go(pace)

        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            _ToGo(to_go),
        )
        with Progress(*columns, console=self._console, transient=True) as bar:
            task = bar.add_task(title, total=pace.total)

            def advance(parts: int = 1, /) -> None:
                with lock:
                    pace.add(parts)
                bar.advance(task, parts)

            yield advance

    @contextmanager
    def _log(self, title: str, pace: Pace) -> Iterator[Advance]:
        log = StepLog(title, pace, self._clock, self._print)
        ended = threading.Event()
        # A part may take long: the line comes also while nothing is completed.
        watch = threading.Thread(target=_repeat, args=(log.tell_if_due, ended), name="progress", daemon=True)
        watch.start()
        try:
            yield log.advance
        finally:
            ended.set()
            watch.join()

    def _print(self, line: str) -> None:
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)


class StepLog:
    """Writes the lines of one step: at its start, and at least every ten seconds while it lasts."""

    def __init__(self, title: str, pace: Pace, clock: Callable[[], float], write: Callable[[str], None]) -> None:
        self._title, self._pace, self._clock, self._write = title, pace, clock, write
        self._lock = threading.Lock()
        with self._lock:
            self._tell()

    def advance(self, parts: int = 1, /) -> None:
        """See :class:`cup4soil.progress.Advance`."""
        with self._lock:
            self._pace.add(parts)
        self.tell_if_due()

    def tell_if_due(self) -> None:
        """Write a line when the last one is ten seconds old."""
        with self._lock:
            if self._clock() - self._last >= _LOG_SECONDS:
                self._tell()

    def _tell(self) -> None:
        self._last = self._clock()
        facts = (f"{self._pace.done} of {self._pace.total}", _to_go(self._pace))
        self._write(f"{self._title}: {', '.join(filter(None, facts))}")


class _ToGo(ProgressColumn):
    """Time to go by our own estimate: rich's own takes what an earlier run had made for speed."""

    def __init__(self, to_go: Callable[[], str]) -> None:
        super().__init__()
        self._to_go = to_go

    def render(self, task: Task) -> Text:  # noqa: ARG002
        return Text(self._to_go())


def _to_go(pace: Pace) -> str:
    """``12 min to go``, nothing where it cannot be told."""
    seconds = pace.seconds_to_go()
    return "" if seconds is None else f"{duration(seconds)} to go"


def _repeat(call: Callable[[], None], ended: threading.Event) -> None:
    while not ended.wait(_LOG_SECONDS / 10):
        call()


def duration(seconds: float) -> str:
    """A time to go in its two largest units: ``40 s``, ``12 min``, ``2 h 10 min``, ``3 d 4 h``; rounded up."""
    whole = max(0, math.ceil(seconds))
    if whole < _MINUTE:
        return f"{whole} s"
    minutes = math.ceil(whole / _MINUTE)
    if minutes < _HOUR // _MINUTE:
        return f"{minutes} min"
    if minutes < _DAY // _MINUTE:
        return _two(minutes, _HOUR // _MINUTE, "h", "min")
    return _two(math.ceil(whole / _HOUR), _DAY // _HOUR, "d", "h")


def _two(amount: int, each: int, large: str, small: str) -> str:
    whole, rest = divmod(amount, each)
    return f"{whole} {large} {rest} {small}" if rest else f"{whole} {large}"


def show(facts: Mapping[str, Any], *, as_json: bool) -> None:
    """Print a result on standard output: for a program as JSON, else a line each."""
    if as_json:
        click.echo(json.dumps(facts, indent=1, default=str))
        return
    for name, value in facts.items():
        if value is not None:
            click.echo(f"{name.replace('_', ' ')}: {value}")

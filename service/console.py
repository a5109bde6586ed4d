"""What the command line shows while it works and when it is done."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from cup4soil.progress import Advance

_LOG_SECONDS = 10.0


class ConsoleProgress:
    """Progress on standard error: bars on a terminal, a line now and then in a log."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(stderr=True)

    @contextmanager
    def step(self, title: str, total: int) -> Iterator[Advance]:
        """See :class:`cup4soil.progress.Progress`."""
        started = time.monotonic()
        with self._bar(title, total) if self._console.is_terminal else self._log(title, total) as advance:
            yield advance
        self._console.print(f"{title}: done in {time.monotonic() - started:.1f} s", highlight=False, markup=False)

    @contextmanager
    def _bar(self, title: str, total: int) -> Iterator[Advance]:
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("to go"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self._console, transient=True) as bar:
            task = bar.add_task(title, total=total)
            yield lambda: bar.advance(task)

    @contextmanager
    def _log(self, title: str, total: int) -> Iterator[Advance]:
        done, last = 0, time.monotonic()

        def advance() -> None:
            nonlocal done, last
            done += 1
            if time.monotonic() - last >= _LOG_SECONDS:
                last = time.monotonic()
                self._console.print(f"{title}: {done} of {total}", highlight=False, markup=False)

        yield advance


def show(facts: Mapping[str, Any], *, as_json: bool) -> None:
    """Print a result on standard output: for a program as JSON, else a line each."""
    if as_json:
        click.echo(json.dumps(facts, indent=1, default=str))
        return
    for name, value in facts.items():
        if value is not None:
            click.echo(f"{name.replace('_', ' ')}: {value}")

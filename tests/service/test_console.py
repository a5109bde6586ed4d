"""Progress on a terminal and in logs, by a clock that the tests turn."""

import io
import re
import threading
import time

import numpy as np
import pytest
from rich.console import Console

from cup4soil.progress import Pace, Silent
from service import console
from service.console import ConsoleProgress, StepLog, duration


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def log_of(total, clock):
    lines = []
    return StepLog("Compositing", Pace(total, clock), clock, lines.append), lines


def to_go(pace):
    seconds = pace.seconds_to_go()
    assert seconds is not None
    return seconds


def test_a_line_at_the_start_and_every_ten_seconds_of_work():
    clock = Clock()
    log, lines = log_of(800, clock)
    for _ in range(120):
        clock.now += 1.0
        log.advance()
    assert lines[0] == "Compositing: 0 of 800"
    assert lines[1] == "Compositing: 10 of 800, 14 min to go"
    assert lines[-1] == "Compositing: 120 of 800, 12 min to go"
    assert len(lines) == 1 + 12


def test_a_line_comes_also_while_nothing_is_completed():
    clock = Clock()
    log, lines = log_of(3, clock)
    for _ in range(60):
        clock.now += 1.0
        log.tell_if_due()
    log.advance()
    assert lines == ["Compositing: 0 of 3"] * 7
    clock.now += 10.0
    log.tell_if_due()
    assert lines[-1] == "Compositing: 1 of 3, 3 min to go"


@pytest.mark.parametrize("burst_seconds", [0.0, 0.3, 8.0])
def test_parts_found_done_at_the_start_do_not_spoil_the_estimate(burst_seconds):
    clock = Clock()
    pace = Pace(1000, clock)
    for _ in range(600):
        clock.now += burst_seconds / 600
        pace.add(1)
    for done in range(1, 51):
        clock.now += 5.0
        pace.add(1)
        if done >= 3:
            assert to_go(pace) == pytest.approx((400 - done) * 5.0, rel=0.35 if done < 10 else 0.05)


def test_parts_found_done_may_come_as_one_number():
    clock = Clock()
    pace = Pace(1000, clock)
    pace.add(600)
    clock.now += 20.0
    assert pace.seconds_to_go() is None
    for _ in range(10):
        pace.add(1)
        clock.now += 4.0
    assert to_go(pace) == pytest.approx(390 * 4.0, rel=0.5)


def test_the_estimate_follows_the_recent_rate():
    clock = Clock()
    pace = Pace(2000, clock)
    for _ in range(600):
        clock.now += 1.0
        pace.add(1)
    for _ in range(100):
        clock.now += 4.0
        pace.add(1)
    assert to_go(pace) == pytest.approx(1300 * 4.0, rel=0.02)


def test_parts_that_come_in_bunches_from_many_workers_are_no_burst():
    clock = Clock()
    pace = Pace(400, clock)
    for done in range(8, 160, 8):
        clock.now += 30.0
        for _ in range(8):
            clock.now += 0.4
            pace.add(1)
        assert to_go(pace) == pytest.approx((400 - done) * 33.2 / 8, rel=0.25)


def test_irregular_parts_are_estimated_within_a_third():
    rng = np.random.default_rng(3)
    clock = Clock()
    pace = Pace(2000, clock)
    errors = []
    for done in range(1, 1500):
        clock.now += rng.exponential(2.0)
        pace.add(1)
        if done > 30:
            errors.append(abs(to_go(pace) / ((2000 - done) * 2.0) - 1))
    assert np.quantile(errors, 0.95) < 1 / 3
    assert np.median(errors) < 0.1


def test_a_stall_is_seen():
    clock = Clock()
    pace = Pace(100, clock)
    for _ in range(20):
        clock.now += 1.0
        pace.add(1)
    before = to_go(pace)
    clock.now += 60.0
    assert pace.seconds_to_go() is None or to_go(pace) > 2 * before


def test_the_memory_of_the_estimate_is_bounded():
    clock = Clock()
    pace = Pace(10**6, clock)
    for _ in range(100_000):
        clock.now += 6.0
        pace.add(1)
    assert len(pace._points) < 3000
    assert to_go(pace) == pytest.approx(900_000 * 6.0, rel=0.01)


def test_what_is_done_has_nothing_to_go():
    clock = Clock()
    pace = Pace(2, clock)
    pace.add(2)
    assert pace.seconds_to_go() == 0.0
    assert Pace(0, clock).seconds_to_go() == 0.0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (0.2, "1 s"),
        (59.0, "59 s"),
        (59.5, "1 min"),
        (61, "2 min"),
        (3540.5, "1 h"),
        (7800, "2 h 10 min"),
        (86_400 - 1, "1 d"),
        (86_400 * 3 + 3600 * 4 - 30, "3 d 4 h"),
    ],
)
def test_durations_in_their_two_largest_units(seconds, text):
    assert duration(seconds) == text


def told(clock, terminal=False):
    stream = io.StringIO()
    shown = Console(file=stream, force_terminal=terminal, width=100)
    return ConsoleProgress(shown, clock), stream


def test_a_step_in_a_log_tells_its_start_and_its_end():
    clock = Clock()
    progress, stream = told(clock)
    with progress.step("Compositing [x]", 8) as advance:
        advance(3)
        clock.now += 12.0
        advance()
    assert stream.getvalue().splitlines() == [
        "Compositing [x]: 0 of 8",
        "Compositing [x]: 4 of 8, 48 s to go",
        "Compositing [x]: done in 12.0 s",
    ]


def test_the_log_goes_on_by_itself_during_long_work(monkeypatch):
    monkeypatch.setattr(console, "_LOG_SECONDS", 0.05)
    progress, stream = told(time.monotonic)
    with progress.step("Compositing", 2):
        until = time.monotonic() + 20.0
        while stream.getvalue().count("0 of 2") < 3 and time.monotonic() < until:
            time.sleep(0.01)
    assert stream.getvalue().count("0 of 2") >= 3
    assert "progress" not in {thread.name for thread in threading.enumerate()}


def test_a_failed_step_is_not_told_as_done():
    progress, stream = told(Clock())
    with pytest.raises(RuntimeError), progress.step("Compositing", 2):
        raise RuntimeError
    assert "done" not in stream.getvalue()
    assert "progress" not in {thread.name for thread in threading.enumerate()}


def test_no_part_is_lost_between_threads():
    clock = Clock()
    progress, stream = told(clock)
    with progress.step("Compositing", 4000) as advance:
        threads = [threading.Thread(target=lambda: [advance() for _ in range(500)]) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        clock.now += 10.0
        advance(0)
    assert "Compositing: 4000 of 4000, 0 s to go" in stream.getvalue()


def test_a_terminal_shows_a_bar_with_our_estimate():
    clock = Clock()
    progress, stream = told(clock, terminal=True)
    with progress.step("Compositing", 100) as advance:
        advance(50)
        for _ in range(10):
            clock.now += 60.0
            advance()
    plain = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", stream.getvalue())
    assert "60/100" in plain
    assert "40 min to go" in plain
    assert "Compositing: done in 600.0 s" in plain


def test_the_silent_progress_takes_counts_too():
    with Silent().step("Compositing", 5) as advance:
        advance()
        advance(4)

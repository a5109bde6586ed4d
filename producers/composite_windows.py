"""The windows in time that one reading of an archive gives: years, runs of years, seasons, any period."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from cup4soil.errors import InvalidInput

SEASONS = {"winter": (12, 1, 2), "spring": (3, 4, 5), "summer": (6, 7, 8), "autumn": (9, 10, 11)}


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """A part of the archive's time: from ``start`` to ``end`` (None: open), in ``months`` only where they are given.

    ``label`` names it among the others, and its folder.
    """

    label: str
    start: datetime | None = None
    end: datetime | None = None
    months: tuple[int, ...] | None = None

    def holds(self, time: datetime) -> bool:
        """True when an observation of that time belongs to the window; its last second is its own to the end."""
        if (self.start and time < self.start) or (self.end and time.replace(microsecond=0) > self.end):
            return False
        return self.months is None or time.month in self.months


def time_windows(
    start: datetime | None, end: datetime | None, *, years: Sequence[int], seasons: bool, times: Sequence[datetime]
) -> tuple[TimeWindow, ...]:
    """The windows asked for, at least the whole period.

    Args:
        start: first moment of the period, None for the archive's own.
        end: last moment of the period.
        years: lengths of windows in calendar years; each gives one window for every run of that many years.
        seasons: whether each season of the whole period is a window, too.
        times: when the observations are, for calendar years of an open period.

    Raises:
        InvalidInput: when a window would be longer than the period.
    """
    found = []
    first, last = (start or min(times)).year, (end or max(times)).year
    for length in sorted(set(years)):
        if not 1 <= length <= last - first + 1:
            raise InvalidInput(
                f"a window of {length} years does not fit the period {first} to {last}",
                "choose a shorter one, or widen --start and --end",
            )
        found += [_run_of_years(year, length, start, end) for year in range(first, last - length + 2)]
    if seasons:
        found += [TimeWindow(name, start, end, months) for name, months in SEASONS.items()]
    return tuple(found) or (TimeWindow("all", start, end),)


def dates_of(windows: Sequence[TimeWindow], times: Sequence[datetime]) -> list[set[int]]:
    """Of each window the places of its observations among ``times``."""
    return [{place for place, time in enumerate(times) if window.holds(time)} for window in windows]


def _run_of_years(year: int, length: int, start: datetime | None, end: datetime | None) -> TimeWindow:
    last = year + length - 1
    begins, ends = datetime(year, 1, 1, tzinfo=UTC), datetime(last, 12, 31, 23, 59, 59, tzinfo=UTC)
    label = str(year) if length == 1 else f"{year}-{last}"
    return TimeWindow(label, max(begins, start) if start else begins, min(ends, end) if end else ends)

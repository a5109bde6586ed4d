"""Instants and intervals of time, as the OGC APIs write them."""

import re
from calendar import monthrange
from datetime import UTC, datetime, timedelta

from cup4soil.errors import InvalidInput
from processors.coverages import Interval

_DATE = re.compile(
    r"(\d{4})(?:-(\d{2})(?:-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.(\d{1,9}))?)?(Z|[+-]\d{2}:\d{2})?)?)?)?"
)
# Colons stand within times, too: ends are told apart by quotes, or by the year that follows.
_ENDS = re.compile(r'\s*("[^"]*"|\*|\.\.)\s*:\s*("[^"]*"|\*|\.\.)\s*')
_BETWEEN = re.compile(r":(?=\d{4}|\.\.|\*)|(?<=\*):|(?<=\.\.):")
_HAIR = timedelta(microseconds=1)


def parse_interval(text: str, parameter: str) -> Interval:
    """An instant or interval of RFC 3339 dates or times; ``..`` or nothing leaves an end open.

    A date stands for the whole day, ``2021-05`` for the month, ``2021`` for the year, a time without seconds for the
    minute; ``24:00`` is the end of the day.

    Raises:
        InvalidInput: when it is none.
    """
    parts = text.split("/")
    if len(parts) > 2 or text.strip() in ("", "/"):
        raise InvalidInput(f"{parameter} is {text[:80]!r}", "give a date such as 2021-05-01, or from/to")
    begin, end = parts[0], parts[-1]
    open_ended = len(parts) == 2
    interval = Interval(_instant(begin, parameter, open_ended)[0], _instant(end, parameter, open_ended)[1])
    if interval.start is not None and interval.end is not None and interval.start > interval.end:
        raise InvalidInput(f"{parameter} {text[:80]!r} ends before it begins", "give the earlier date first")
    return interval


def parse_slice(text: str) -> tuple[Interval | None, bool]:
    """The interval of ``time(...)`` in a subset, and whether two ends were given; None is the latest instant.

    Raises:
        InvalidInput: when it is none.
    """
    if text.strip() in ("*", '"*"'):
        return None, False
    ends = _ENDS.fullmatch(text)
    parts = list(ends.groups()) if ends else _BETWEEN.split(text)
    interval = parse_interval("/".join(".." if part == "*" else part.strip('" ') for part in parts), "subset")
    return interval, len(parts) > 1


def _instant(text: str, parameter: str, open_ended: bool) -> tuple[datetime | None, datetime | None]:
    """Beginning and end of what a date stands for."""
    if open_ended and text.strip() in ("", ".."):
        return None, None
    match = _DATE.fullmatch(text.strip())
    if match is None:
        raise InvalidInput(f"{parameter} holds {text[:80]!r}", "give a date such as 2021-05-01 or 2021-05-01T00:00:00Z")
    try:
        return _span(match)
    except (ValueError, OverflowError) as error:
        raise InvalidInput(
            f"{parameter} holds {text[:80]!r}, which is no date", "give one such as 2021-05-01"
        ) from error


def _span(match: re.Match[str]) -> tuple[datetime, datetime]:
    year, month, day = int(match[1]), int(match[2] or 1), int(match[3] or 1)
    if match[4] is not None:
        return _moment(match)
    last_month = int(match[2] or 12)
    last_day = int(match[3] or monthrange(year, last_month)[1])
    start = datetime(year, month, day, tzinfo=UTC)
    return start, datetime(year, last_month, last_day, 23, 59, 59, 999999, tzinfo=UTC)


def _moment(match: re.Match[str]) -> tuple[datetime, datetime]:
    """Beginning and end of the second, of the part of one, or of the minute where no second is given."""
    late = match[4] == "24" and match[5] == "00" and (match[6] or "00") == "00"
    hour = "00" if late else match[4]
    fraction = (match[7] or "0")[:6]
    text = f"{match[1]}-{match[2]}-{match[3]}T{hour}:{match[5]}:{match[6] or '00'}.{fraction}{match[8] or 'Z'}"
    instant = datetime.fromisoformat(text).astimezone(UTC)
    if late:
        # Up to that instant, which belongs to the next day.
        return instant + timedelta(days=1) - _HAIR, instant + timedelta(days=1) - _HAIR
    length = timedelta(microseconds=10 ** (6 - len(fraction))) if match[7] else timedelta(seconds=1 if match[6] else 60)
    return instant, instant + length - _HAIR

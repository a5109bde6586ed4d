"""Figures about the items of a query, as every search backend gives them."""

from dataclasses import dataclass
from typing import Final, Literal

type Interval = Literal["year", "month", "day"]
type Value = str | float | bool
# A value, the beginning of a period (microseconds since 1970) or a geohash, and how many items have it.
type Bucket = tuple[Value, int]
type Aggregated = int | tuple[Bucket, ...] | None

MOST_BUCKETS: Final = 1000
MOST_PRECISION: Final = 6  # characters of a geohash: cells of about a kilometre
_ALPHABET: Final = "0123456789bcdefghjkmnpqrstuvwxyz"


@dataclass(frozen=True, slots=True)
class Aggregation:
    """What is asked about the items of a query.

    - ``count``: how many there are;
    - ``first``, ``last``: their earliest beginning and their latest end, microseconds since 1970; None without items;
    - ``terms``: how many have each value of the property ``field`` (or of ``collection``), the most frequent first,
      then by value; numbers, strings and booleans count, items without the property do not;
    - ``periods``: how many begin in each year, month or day (UTC), in order of time;
    - ``cells``: how many have the middle of their box in each cell of a geohash of ``precision`` characters, in order.

    Of more than :data:`MOST_BUCKETS` buckets the first are given.
    """

    of: Literal["count", "first", "last", "terms", "periods", "cells"]
    field: str = ""
    interval: Interval = "year"
    precision: int = 2


def columns_and_rows(precision: int) -> tuple[int, int]:
    """How many cells a geohash of this many characters has around the globe, and from pole to pole."""
    bits = 5 * precision
    return 2 ** ((bits + 1) // 2), 2 ** (bits // 2)


def geohash(column: int, row: int, precision: int) -> str:
    """Geohash (G. Niemeyer, 2008) of a cell, counted from 180 degrees west and from the south pole."""
    bits = 5 * precision
    value = 0
    for place in range(bits):  # from the last bit, bits of longitude and latitude in turns, longitude first of all
        of_longitude = (bits - 1 - place) % 2 == 0
        source = column if of_longitude else row
        value |= (source & 1) << place
        column, row = (column >> 1, row) if of_longitude else (column, row >> 1)
    return "".join(_ALPHABET[value >> 5 * (precision - 1 - sign) & 31] for sign in range(precision))

"""Axes of coverages by name, and ranges along them, as ``subset`` and its like write them."""

import math
import re
from typing import Final

from cup4soil.errors import InvalidInput

_AXIS = re.compile(r"([A-Za-z]{1,20})\(([^()]*)\)(?:,|$)")
_X_NAMES = frozenset({"e", "x", "easting"})
_Y_NAMES = frozenset({"n", "y", "northing"})
_LON_NAMES = frozenset({"lon", "long", "longitude"})
_LAT_NAMES = frozenset({"lat", "latitude"})
_TIME_NAMES = frozenset({"time", "t"})

WHOLE_TURN: Final = 360.0
type Range = tuple[float | None, float | None]


def axes_of(text: str, parameter: str) -> dict[str, str]:
    """``E(1:2),N(3:4)`` as a dictionary.

    Raises:
        InvalidInput: naming ``parameter``, when it is written otherwise or names an axis twice.
    """
    found: dict[str, str] = {}
    position = 0
    while position < len(text):
        match = _AXIS.match(text, position)
        if match is None:
            raise InvalidInput(f"{parameter} is {text[:80]!r}", f"write {parameter}=E(...),N(...)")
        if match[1] in found:
            raise InvalidInput(f"{parameter} names {match[1]} twice", "name each axis once")
        found[match[1]] = match[2]
        position = match.end()
    return found


def kind_of(name: str) -> str:
    """What an axis is: ``x``, ``y``, ``lon``, ``lat`` or ``time``.

    Raises:
        InvalidInput: when there is none of this name.
    """
    key = name.lower()
    for kind, names in (
        ("x", _X_NAMES),
        ("y", _Y_NAMES),
        ("lon", _LON_NAMES),
        ("lat", _LAT_NAMES),
        ("time", _TIME_NAMES),
    ):
        if key in names:
            return kind
    raise InvalidInput(f"there is no axis {name!r}", "use E and N, Lat and Lon, or time")


def axis_range(text: str, parameter: str, *, wraps: bool = False) -> Range:
    """The numbers of ``low:high`` or of one value; ``*`` leaves an end open.

    On an axis that ``wraps``, numbers that fall mean the way across the antimeridian: 360 are added to the second.

    Raises:
        InvalidInput: when they are none, or in the wrong order.
    """
    parts = text.split(":")
    if len(parts) > 2:
        raise InvalidInput(f"{parameter} has the range {text[:80]!r}", "give low:high")
    low, high = (None if part.strip() == "*" else number_of(part, parameter) for part in (parts[0], parts[-1]))
    if low is not None and high is not None and low > high:
        if wraps and high + WHOLE_TURN > low:
            return low, high + WHOLE_TURN
        raise InvalidInput(f"{parameter} has the range {text[:80]!r}", "give the lower number first")
    return low, high


def number_of(text: str, parameter: str) -> float:
    """A finite number.

    Raises:
        InvalidInput: naming ``parameter``, when it is none.
    """
    try:
        number = float(text)
    except ValueError:
        raise InvalidInput(f"{parameter} holds {text[:80]!r}", "give numbers") from None
    if not math.isfinite(number) or abs(number) > 1e12:
        raise InvalidInput(f"{parameter} holds {text[:80]!r}", "give finite numbers")
    return number

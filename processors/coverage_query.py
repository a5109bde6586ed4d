"""What a client asks of a coverage: the parameters of OGC API Coverages (draft 19-087), read and checked."""

import math
import re
from calendar import monthrange
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType

from cup4soil.errors import InvalidInput
from cup4soil.grids import Bounds
from processors.coverages import Interval
from processors.crs import CRS84, Reference, parse_reference

PARAMETERS = (
    "bbox",
    "bbox-crs",
    "subset",
    "subset-crs",
    "datetime",
    "properties",
    "scale-factor",
    "scale-axes",
    "scale-size",
    "crs",
    "f",
)
# Earlier drafts, which GDAL's driver follows, wrote these in camel case.
_ALIASES = {"scaleFactor": "scale-factor", "scaleAxes": "scale-axes", "scaleSize": "scale-size"}
_MAX_LENGTH = 4000
_AXIS = re.compile(r"([A-Za-z]{1,20})\(([^()]*)\)(?:,|$)")
_X_NAMES = frozenset({"e", "x", "easting"})
_Y_NAMES = frozenset({"n", "y", "northing"})
_LON_NAMES = frozenset({"lon", "long", "longitude"})
_LAT_NAMES = frozenset({"lat", "latitude"})
_TIME_NAMES = frozenset({"time", "t"})
_DATE = re.compile(
    r"(\d{4})(?:-(\d{2})(?:-(\d{2})(?:[T ](\d{2}):(\d{2})(?::(\d{2})(?:\.\d{1,9})?)?(Z|[+-]\d{2}:\d{2})?)?)?)?"
)

type Range = tuple[float | None, float | None]


@dataclass(frozen=True, slots=True)
class Scaling:
    """How an answer is made smaller: by factors, or to sizes in cells, along x and y; None leaves an axis as it is."""

    factor_x: float | None = None
    factor_y: float | None = None
    columns: int | None = None
    rows: int | None = None


@dataclass(frozen=True, slots=True)
class CoverageQuery:
    """A checked request. ``x`` and ``y`` are ranges in the system ``subset_crs``; None there is the native one.

    ``several`` is true where an interval of time was asked for, which formats with a time axis answer in full.
    """

    bbox: Bounds | None = None
    bbox_crs: Reference = CRS84
    x: Range | None = None
    y: Range | None = None
    subset_crs: Reference | None = None
    when: Interval | None = None
    properties: tuple[str, ...] = ()
    scaling: Scaling | None = None
    crs: Reference | None = None
    format: str | None = None
    several: bool = False

    @property
    def selects(self) -> bool:
        """True when a part of the domain was asked for."""
        return self.bbox is not None or self.x is not None or self.y is not None


def parse_query(pairs: Iterable[tuple[str, str]]) -> CoverageQuery:
    """Read the parameters of a request, given as names and values in the order they came.

    Raises:
        InvalidInput: naming the parameter, when one is unknown, repeated, malformed or contradicts another.
    """
    given = collect(pairs, PARAMETERS, lists=("subset", "properties"), aliases=_ALIASES)
    _contradictions(given)
    subset = _Subset.parse(given.get("subset"), given.get("subset-crs"))
    if "datetime" in given and subset.when is not None:
        raise InvalidInput("both datetime and subset=time(...) are given", "use one of them")
    if "bbox" in given and (subset.x is not None or subset.y is not None):
        raise InvalidInput("both bbox and subset of a spatial axis are given", "use one of them")
    bbox_crs = parse_reference(given["bbox-crs"], "bbox-crs") if "bbox-crs" in given else CRS84
    return CoverageQuery(
        bbox=parse_box(given["bbox"], bbox_crs) if "bbox" in given else None,
        bbox_crs=bbox_crs,
        x=subset.x,
        y=subset.y,
        subset_crs=subset.crs,
        when=parse_interval(given["datetime"], "datetime") if "datetime" in given else subset.when,
        properties=names_in(given["properties"], "properties") if "properties" in given else (),
        scaling=_scaling(given),
        crs=parse_reference(given["crs"], "crs") if "crs" in given else None,
        format=given.get("f"),
        several="/" in given["datetime"] if "datetime" in given else subset.several,
    )


def parse_interval(text: str, parameter: str) -> Interval:
    """An instant or interval of RFC 3339 dates or times; ``..`` or nothing leaves an end open.

    A date stands for the whole day, ``2021-05`` for the month, ``2021`` for the year.

    Raises:
        InvalidInput: when it is none.
    """
    parts = text.split("/")
    if len(parts) > 2 or (len(parts) == 2 and not any(part.strip(". ") for part in parts)):
        raise InvalidInput(f"{parameter} is {text[:80]!r}", "give a date such as 2021-05-01, or from/to")
    begin, end = parts[0], parts[-1]
    open_ended = len(parts) == 2
    interval = Interval(_instant(begin, parameter, open_ended)[0], _instant(end, parameter, open_ended)[1])
    if interval.start is not None and interval.end is not None and interval.start > interval.end:
        raise InvalidInput(f"{parameter} {text[:80]!r} ends before it begins", "give the earlier date first")
    return interval


def axis_range(text: str, parameter: str) -> tuple[float | None, float | None]:
    """The numbers of ``low:high`` or of one value; ``*`` leaves an end open.

    Raises:
        InvalidInput: when they are none, or in the wrong order.
    """
    parts = text.split(":")
    if len(parts) > 2:
        raise InvalidInput(f"{parameter} has the range {text[:80]!r}", "give low:high")
    low, high = (None if part.strip() == "*" else _number(part, parameter) for part in (parts[0], parts[-1]))
    if low is not None and high is not None and low > high:
        raise InvalidInput(f"{parameter} has the range {text[:80]!r}", "give the lower number first")
    return low, high


def collect(
    pairs: Iterable[tuple[str, str]],
    known: Sequence[str],
    *,
    lists: Sequence[str] = (),
    aliases: Mapping[str, str] = MappingProxyType({}),
    longest: int = _MAX_LENGTH,
) -> dict[str, str]:
    """The parameters of a request by name; ``lists`` may be given more than once, and are joined by commas.

    Raises:
        InvalidInput: naming the parameter, when one is not ``known``, repeated, empty or too long.
    """
    given: dict[str, str] = {}
    for written, value in pairs:
        name = aliases.get(written, written)
        if name not in known:
            raise InvalidInput(f"parameter {written[:80]!r} is not known", f"use {', '.join(known)}")
        if len(value) > longest:
            raise InvalidInput(f"{name} is longer than {longest} characters", "ask for less")
        if name in given and name not in lists:
            raise InvalidInput(f"{name} is given twice", "give it once")
        if not value.strip():
            raise InvalidInput(f"{name} is empty", "give a value or leave it out")
        given[name] = f"{given[name]},{value}" if name in given else value
    return given


def names_in(text: str, parameter: str) -> tuple[str, ...]:
    """Names separated by commas.

    Raises:
        InvalidInput: when one is empty or stands twice.
    """
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise InvalidInput(f"{parameter} is {text[:80]!r}", "give names separated by commas")
    if len(set(names)) < len(names):
        raise InvalidInput(f"{parameter} names a field twice: {text[:80]!r}", "name each once")
    return names


def parse_box(text: str, crs: Reference) -> Bounds:
    """The box of four numbers in the axis order of ``crs``: lower corner, upper corner.

    Raises:
        InvalidInput: when it is none.
    """
    parts = text.split(",")
    if len(parts) != 4:
        raise InvalidInput(f"bbox has {len(parts)} numbers", "give four: the lower corner, then the upper corner")
    try:
        return crs.box([_number(part, "bbox") for part in parts])
    except InvalidInput as error:
        order = "first latitude or northing, then longitude or easting" if crs.y_first else "first x, then y"
        raise InvalidInput(f"bbox: {error.problem}", f"give the lower, then the upper corner, each {order}") from error


@dataclass(frozen=True, slots=True)
class _Subset:
    x: Range | None = None
    y: Range | None = None
    when: Interval | None = None
    crs: Reference | None = None
    several: bool = False

    @classmethod
    def parse(cls, text: str | None, crs_text: str | None) -> "_Subset":
        if text is None:
            if crs_text is not None:
                raise InvalidInput("subset-crs is given without subset", "leave it out")
            return cls()
        axes = _axes(text, "subset")
        kinds = {_kind(name): name for name in axes}
        if len(kinds) < len(axes):
            raise InvalidInput(f"subset names an axis twice: {text[:80]!r}", "name each axis once")
        geographic = {"lon", "lat"} & set(kinds)
        projected = {"x", "y"} & set(kinds)
        if geographic and projected:
            raise InvalidInput(f"subset mixes the axes of two systems: {text[:80]!r}", "use Lat and Lon, or E and N")
        x = next((axis_range(axes[kinds[kind]], "subset") for kind in ("x", "lon") if kind in kinds), None)
        y = next((axis_range(axes[kinds[kind]], "subset") for kind in ("y", "lat") if kind in kinds), None)
        when, several = _time_range(axes[kinds["time"]]) if "time" in kinds else (None, False)
        crs = _subset_crs(crs_text, geographic=bool(geographic), projected=bool(projected))
        return cls(x, y, when, crs, several)


def _subset_crs(text: str | None, *, geographic: bool, projected: bool) -> Reference | None:
    """Lat and Lon are in CRS84 and E and N in the native system, where nothing else is said."""
    if text is None:
        return CRS84 if geographic else None
    crs = parse_reference(text, "subset-crs")
    if (geographic and not crs.crs.geographic) or (projected and crs.crs.geographic):
        raise InvalidInput(f"the axes of subset are not those of subset-crs {text[:80]!r}", "use its own axes")
    return crs


def _contradictions(given: Mapping[str, str]) -> None:
    scaling = [name for name in ("scale-factor", "scale-axes", "scale-size") if name in given]
    if len(scaling) > 1:
        raise InvalidInput(f"both {scaling[0]} and {scaling[1]} are given", "use one of them")
    if "bbox-crs" in given and "bbox" not in given:
        raise InvalidInput("bbox-crs is given without bbox", "leave it out")


def _axes(text: str, parameter: str) -> dict[str, str]:
    """``E(1:2),N(3:4)`` as a dictionary."""
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


def _kind(name: str) -> str:
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


def _scaling(given: Mapping[str, str]) -> Scaling | None:
    if "scale-factor" in given:
        factor = _factor(given["scale-factor"], "scale-factor")
        return Scaling(factor_x=factor, factor_y=factor)
    if "scale-axes" in given:
        x, y = _by_axis(given["scale-axes"], "scale-axes", _factor)
        return Scaling(factor_x=x, factor_y=y)
    if "scale-size" in given:
        columns, rows = _by_axis(given["scale-size"], "scale-size", _size)
        return Scaling(columns=columns, rows=rows)
    return None


def _by_axis[T](text: str, parameter: str, read: Callable[[str, str], T]) -> tuple[T | None, T | None]:
    values: dict[str, T] = {}
    for name, value in _axes(text, parameter).items():
        kind = {"lon": "x", "lat": "y"}.get(_kind(name), _kind(name))
        if kind == "time" or kind in values:
            raise InvalidInput(f"{parameter} is {text[:80]!r}", "name E and N, or Lat and Lon, each once")
        values[kind] = read(value, parameter)
    return values.get("x"), values.get("y")


def _factor(text: str, parameter: str) -> float:
    factor = _number(text, parameter)
    if not 1e-3 <= factor <= 1e6:
        raise InvalidInput(f"{parameter} is {text[:80]!r}", "give a factor from 0.001 to 1000000; 2 halves the size")
    return factor


def _size(text: str, parameter: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text.strip()) or int(text) < 1:
        raise InvalidInput(f"{parameter} is {text[:80]!r}", "give a whole number of cells from 1")
    return int(text)


def _number(text: str, parameter: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise InvalidInput(f"{parameter} holds {text[:80]!r}", "give numbers") from None
    if not math.isfinite(number) or abs(number) > 1e12:
        raise InvalidInput(f"{parameter} holds {text[:80]!r}", "give finite numbers")
    return number


def _time_range(text: str) -> tuple[Interval, bool]:
    """The interval, and whether two ends were given."""
    parts = re.findall(r'"([^"]*)"', text) or re.split(r":(?=\d{4}|\.\.|\*)|(?<=\*):|(?<=\.\.):", text)
    interval = parse_interval("/".join(".." if part == "*" else part for part in parts), "subset")
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
        zone = match[7] or "Z"
        text = f"{match[1]}-{match[2]}-{match[3]}T{match[4]}:{match[5]}:{match[6] or '00'}{zone}"
        instant = datetime.fromisoformat(text).astimezone(UTC)
        return instant, instant + timedelta(microseconds=999999)
    last_month = int(match[2] or 12)
    last_day = int(match[3] or monthrange(year, last_month)[1])
    start = datetime(year, month, day, tzinfo=UTC)
    return start, datetime(year, last_month, last_day, 23, 59, 59, 999999, tzinfo=UTC)

"""Values that clients send to the search: boxes, geometries and times, checked."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, Literal, NamedTuple

import shapely
from shapely.geometry.base import BaseGeometry

from cup4soil.errors import InvalidInput

MOST_VERTICES: Final = 10_000
MOST_TEXT: Final = 200
SECOND: Final = 1_000_000  # in microseconds

# Of a property's value: number, string, boolean, time (microseconds since 1970), or anything else.
type Kind = Literal["n", "s", "b", "t", "j"]

_INSTANT = re.compile(
    r"(\d{4}-\d\d-\d\d)[Tt](\d\d:\d\d:)(\d\d)(?:[.](\d+))?(?:[Zz]|([+-])([01]\d|2[0-3]):([0-5]\d))", re.ASCII
)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Box(NamedTuple):
    """A box in degrees of WGS 84; west is not greater than east."""

    west: float
    south: float
    east: float
    north: float

    @property
    def shape(self) -> BaseGeometry:
        """The box as a geometry: a polygon, or a line or a point where it has no area."""
        if self.west < self.east and self.south < self.north:
            return shapely.box(*self)
        return shapely.envelope(shapely.MultiPoint([self[:2], self[2:]]))


class Period(NamedTuple):
    """Microseconds since 1970 in UTC, both ends included; None where it is open."""

    start: int | None
    end: int | None


def parse_bbox(value: object) -> tuple[Box, ...]:
    """Boxes from ``west,south,east,north``, as text or numbers; six numbers have heights, which are not looked at.

    Raises:
        InvalidInput: when it is no box on the globe.
    """
    wanted = "give west,south,east,north in degrees"
    values = value.split(",") if isinstance(value, str) else value
    if not isinstance(values, Sequence) or len(values) not in (4, 6):
        raise InvalidInput(f"bbox is {shown(value)}", wanted)
    try:
        numbers = [float(each) for each in values if not isinstance(each, bool)]
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidInput(f"bbox is {shown(value)}", wanted) from error
    if len(numbers) != len(values) or not all(map(math.isfinite, numbers)):
        raise InvalidInput(f"bbox is {shown(value)}", wanted)
    half = len(numbers) // 2
    (west, south), (east, north) = numbers[:2], numbers[half : half + 2]
    if max(abs(west), abs(east)) > 180 or max(abs(south), abs(north)) > 90 or south > north:
        raise InvalidInput(f"bbox is {shown(value)}", f"{wanted}, longitudes within 180 and latitudes within 90")
    if west > east:
        return Box(west, south, 180.0, north), Box(-180.0, south, east, north)
    return (Box(west, south, east, north),)


def read_geometry(value: object, name: str) -> BaseGeometry:
    """A geometry from parsed GeoJSON.

    Raises:
        InvalidInput: when it is none, is empty, crosses itself, leaves the globe or has too many vertices.
    """
    wanted = "give a GeoJSON geometry in longitude, latitude"
    if not isinstance(value, Mapping) or str(value.get("type")).startswith("Feature"):
        raise InvalidInput(f"{name} is {shown(value)}", wanted)
    try:
        geometry = shapely.from_geojson(json.dumps(value))
    except (shapely.errors.GEOSException, ValueError) as error:
        raise InvalidInput(f"{name} is no geometry: {shown(str(error))}", wanted) from error
    if geometry is None or geometry.is_empty:
        raise InvalidInput(f"{name} is empty", wanted)
    return check_geometry(geometry, name)


def check_geometry(geometry: BaseGeometry, name: str) -> BaseGeometry:
    """``geometry``, made ready for many comparisons.

    Raises:
        InvalidInput: as :func:`read_geometry`.
    """
    if shapely.get_num_coordinates(geometry) > MOST_VERTICES:
        raise InvalidInput(f"{name} has more than {MOST_VERTICES} vertices", "simplify it")
    west, south, east, north = geometry.bounds
    if not (-180 <= west <= east <= 180 and -90 <= south <= north <= 90):
        raise InvalidInput(f"{name} leaves the globe", "give longitude, latitude in degrees")
    if not geometry.is_valid:
        raise InvalidInput(f"{name} is not valid: {shapely.is_valid_reason(geometry)}", "mend the geometry")
    shapely.prepare(geometry)
    return geometry


def parse_instant(text: str) -> int:
    """Microseconds since 1970 of a date-time of RFC 3339.

    Raises:
        InvalidInput: when it is none.
    """
    match = _INSTANT.fullmatch(text)
    if match is None:
        raise InvalidInput(f"time is {shown(text)}", "give it as 2020-01-31T00:00:00Z")
    day, clock, seconds, fraction, sign, hours, minutes = match.groups()
    # A leap second is the beginning of the next minute.
    leap = seconds == "60"
    try:
        instant = datetime.fromisoformat(f"{day}T{clock}{'59' if leap else seconds}+00:00")
    except ValueError as error:
        raise InvalidInput(f"time is {shown(text)}", "give a time that exists") from error
    since = instant - _EPOCH
    whole = since.days * 86400 + since.seconds + leap
    shift = 0 if sign is None else int(f"{sign}1") * (int(hours) * 3600 + int(minutes) * 60)
    return (whole - shift) * SECOND + int((fraction or "0")[:6].ljust(6, "0"))


def instant_text(microseconds: int) -> str:
    """A date-time of RFC 3339 from microseconds since 1970; what no calendar has is the nearest that one has."""
    try:
        return (_EPOCH + timedelta(microseconds=microseconds)).isoformat()
    except OverflowError:
        return (datetime.max if microseconds > 0 else datetime.min).replace(tzinfo=UTC).isoformat()


def shown(value: object) -> str:
    """A client's value as an error may repeat it."""
    text = value if isinstance(value, str) else repr(value)
    clean = text.encode("ascii", "backslashreplace").decode() if not text.isprintable() else text
    return repr(clean) if len(clean) <= MOST_TEXT else f"{clean[:MOST_TEXT]!r}..."

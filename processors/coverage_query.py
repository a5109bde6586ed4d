"""What a client asks of a coverage: the parameters of OGC API Coverages (draft 19-087), read and checked."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from cup4soil.errors import InvalidInput
from cup4soil.grids import Bounds
from processors.axes import WHOLE_TURN, Range, axes_of, axis_range, kind_of, number_of
from processors.coverage_scaling import SCALING, Scaling, parse_scaling
from processors.coverages import Interval
from processors.crs import CRS84, Reference, parse_reference
from processors.times import parse_interval, parse_slice

PARAMETERS = (
    "bbox",
    "bbox-crs",
    "subset",
    "subset-crs",
    "datetime",
    "properties",
    "exclude-properties",
    *SCALING,
    "crs",
    "f",
)
# Earlier drafts, which GDAL's driver follows, wrote these in camel case.
_ALIASES = {"scaleFactor": "scale-factor", "scaleAxes": "scale-axes", "scaleSize": "scale-size"}
_MAX_LENGTH = 4000
# An empty value leaves nothing out, or asks for the native resolution.
_MAY_BE_EMPTY = ("exclude-properties", "resolution")


@dataclass(frozen=True, slots=True)
class CoverageQuery:
    """A checked request. ``x`` and ``y`` are ranges in the system ``subset_crs``; None there is the native one.

    ``several`` is true where an interval of time was asked for, which formats with a time axis answer in full.
    ``strict`` is true where the client would rather be refused than get less than the native resolution.
    """

    bbox: Bounds | None = None
    bbox_crs: Reference = CRS84
    x: Range | None = None
    y: Range | None = None
    subset_crs: Reference | None = None
    when: Interval | None = None
    properties: tuple[str, ...] = ()
    excluded: tuple[str, ...] = ()
    scaling: Scaling | None = None
    crs: Reference | None = None
    format: str | None = None
    several: bool = False
    strict: bool = False

    @property
    def selects(self) -> bool:
        """True when a part of the domain was asked for."""
        return self.bbox is not None or self.x is not None or self.y is not None


def parse_query(pairs: Iterable[tuple[str, str]]) -> CoverageQuery:
    """Read the parameters of a request, given as names and values in the order they came.

    Raises:
        InvalidInput: naming the parameter, when one is unknown, repeated, malformed or contradicts another.
    """
    lists = ("subset", "properties", "exclude-properties")
    given = collect(pairs, PARAMETERS, lists=lists, aliases=_ALIASES, empty=_MAY_BE_EMPTY)
    subset = Subset.parse(given.get("subset"), given.get("subset-crs"))
    scaling = parse_scaling(given)
    _contradictions(given, subset, scaling)
    bbox_crs = parse_reference(given["bbox-crs"], "bbox-crs") if "bbox-crs" in given else CRS84
    return CoverageQuery(
        bbox=parse_box(given["bbox"], bbox_crs) if "bbox" in given else None,
        bbox_crs=bbox_crs,
        x=subset.x,
        y=subset.y,
        subset_crs=subset.crs,
        when=parse_interval(given["datetime"], "datetime") if "datetime" in given else subset.when,
        properties=names_in(given["properties"], "properties") if "properties" in given else (),
        excluded=names_in(excluded, "exclude-properties") if (excluded := given.get("exclude-properties")) else (),
        scaling=scaling,
        crs=parse_reference(given["crs"], "crs") if "crs" in given else None,
        format=given.get("f"),
        several="/" in given["datetime"] if "datetime" in given else subset.several,
    )


def collect(
    pairs: Iterable[tuple[str, str]],
    known: Sequence[str],
    *,
    lists: Sequence[str] = (),
    aliases: Mapping[str, str] = MappingProxyType({}),
    empty: Sequence[str] = (),
    longest: int = _MAX_LENGTH,
) -> dict[str, str]:
    """The parameters of a request by name; ``lists`` may be given more than once, and are joined by commas.

    Those of ``empty`` may be given without a value.

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
        if not value.strip() and name not in empty:
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
    """The box of four numbers in the axis order of ``crs``: lower corner, upper corner; of six, heights are left out.

    Where longitudes fall from the first to the second corner, the box reaches across the antimeridian: its right edge
    is beyond 180.

    Raises:
        InvalidInput: when it is none.
    """
    parts = text.split(",")
    if len(parts) == 6:
        parts = [*parts[:2], *parts[3:5]]
    if len(parts) != 4:
        raise InvalidInput(f"bbox has {len(parts)} numbers", "give four: the lower corner, then the upper corner")
    try:
        numbers = [number_of(part, "bbox") for part in parts]
        first, last = (1, 3) if crs.y_first else (0, 2)
        if crs.crs.geographic and 180 >= numbers[first] > numbers[last] >= -180:
            numbers[last] += WHOLE_TURN
        return crs.box(numbers)
    except InvalidInput as error:
        order = "first latitude or northing, then longitude or easting" if crs.y_first else "first x, then y"
        raise InvalidInput(f"bbox: {error.problem}", f"give the lower, then the upper corner, each {order}") from error


@dataclass(frozen=True, slots=True)
class Subset:
    """A checked ``subset``: ranges along x and y in ``crs``, and the time; ``sliced`` are axes with one coordinate.

    ``several`` is true where two ends of time were given, ``timed`` where time was named at all.
    """

    x: Range | None = None
    y: Range | None = None
    when: Interval | None = None
    crs: Reference | None = None
    several: bool = False
    sliced: frozenset[str] = frozenset()
    timed: bool = False

    @classmethod
    def parse(cls, text: str | None, crs_text: str | None = None) -> "Subset":
        """Read ``subset`` and ``subset-crs``.

        Raises:
            InvalidInput: when one is malformed, or they do not fit together.
        """
        if text is None:
            _subset_crs(crs_text, geographic=False, projected=False)
            return cls()
        axes = axes_of(text, "subset")
        kinds = {kind_of(name): name for name in axes}
        if len(kinds) < len(axes):
            raise InvalidInput(f"subset names an axis twice: {text[:80]!r}", "name each axis once")
        geographic = {"lon", "lat"} & set(kinds)
        projected = {"x", "y"} & set(kinds)
        if geographic and projected:
            raise InvalidInput(f"subset mixes the axes of two systems: {text[:80]!r}", "use Lat and Lon, or E and N")
        ranges = {
            each: axis_range(axes[name], "subset", wraps=each == "lon")
            for each, name in kinds.items()
            if each != "time"
        }
        x, y = ranges.get("x", ranges.get("lon")), ranges.get("y", ranges.get("lat"))
        when, several = parse_slice(axes[kinds["time"]]) if "time" in kinds else (None, False)
        crs = _subset_crs(crs_text, geographic=bool(geographic), projected=bool(projected))
        single = {each for each, name in kinds.items() if ":" not in axes[name]}
        sliced = frozenset({"lon": "x", "lat": "y"}.get(each, each) for each in single)
        return cls(x, y, when, crs, several, sliced, "time" in kinds)


def _subset_crs(text: str | None, *, geographic: bool, projected: bool) -> Reference | None:
    """Lat and Lon are in CRS84 and E and N in the native system, where nothing else is said."""
    if text is None:
        return CRS84 if geographic else None
    crs = parse_reference(text, "subset-crs")
    if (geographic and not crs.crs.geographic) or (projected and crs.crs.geographic):
        raise InvalidInput(f"the axes of subset are not those of subset-crs {text[:80]!r}", "use its own axes")
    return crs


def _contradictions(given: Mapping[str, str], subset: Subset, scaling: Scaling | None) -> None:
    if "datetime" in given and subset.timed:
        raise InvalidInput("both datetime and subset=time(...) are given", "use one of them")
    if "bbox" in given and (subset.x is not None or subset.y is not None):
        raise InvalidInput("both bbox and subset of a spatial axis are given", "use one of them")
    if "properties" in given and "exclude-properties" in given:
        raise InvalidInput("both properties and exclude-properties are given", "use one of them")
    if scaling is not None and scaling.axes & subset.sliced:
        raise InvalidInput("subset cuts a slice along an axis that is to be scaled, too", "give a range, or no scale")

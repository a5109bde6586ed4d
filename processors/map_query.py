"""What a client asks of maps and tiles: the parameters, read and checked."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

from PIL import ImageColor

from cup4soil.errors import InvalidInput, LimitExceeded
from cup4soil.grids import Bounds
from processors.axes import axis_range
from processors.coverage_query import Subset, collect, names_in, parse_box
from processors.coverages import Interval
from processors.crs import CRS84, Reference, parse_reference
from processors.map_maker import Look
from processors.map_pictures import PNG, WEBP, Colour
from processors.negotiation import Formats
from processors.times import parse_interval

FORMATS: Final = Formats(
    names={"png": PNG, "webp": WEBP, PNG: PNG, WEBP: WEBP},
    accepted={PNG: PNG, WEBP: WEBP},
    wildcards={"*/*": PNG, "image/*": PNG, "text/html": PNG},
    default=PNG,
    said="png or webp",
)
LOOKS: Final = ("properties", "datetime", "subset", "range")
LONGEST_SIDE: Final = 16_384
_PLACES = ("bbox", "bbox-crs", "crs", "width", "height", "transparent", "bgcolor")
_COLOUR = re.compile(r"(?:0x|#)?([0-9A-Fa-f]{6})")
_WHITE = (255, 255, 255)


@dataclass(frozen=True, slots=True)
class MapQuery:
    """A checked request for a map. ``background`` is None where it is to be transparent."""

    look: Look
    bbox: Bounds | None
    bbox_crs: Reference
    crs: Reference | None
    width: int | None
    height: int | None
    background: Colour | None
    format: str | None


def parse_map(pairs: Iterable[tuple[str, str]], style: str | None) -> MapQuery:
    """Read the parameters of a map; ``style`` is the one that the path names.

    Raises:
        InvalidInput: naming the parameter, when one is unknown, repeated, malformed or contradicts another.
    """
    given = collect(pairs, (*_PLACES, *LOOKS, "f"))
    if "bbox-crs" in given and "bbox" not in given:
        raise InvalidInput("bbox-crs is given without bbox", "leave it out")
    bbox_crs = parse_reference(given["bbox-crs"], "bbox-crs") if "bbox-crs" in given else CRS84
    return MapQuery(
        look=_look(given, style),
        bbox=parse_box(given["bbox"], bbox_crs) if "bbox" in given else None,
        bbox_crs=bbox_crs,
        crs=parse_reference(given["crs"], "crs") if "crs" in given else None,
        width=_side(given, "width"),
        height=_side(given, "height"),
        background=_background(given),
        format=given.get("f"),
    )


def parse_look(
    pairs: Iterable[tuple[str, str]], style: str | None, *, more: tuple[str, ...] = ("f",)
) -> tuple[Look, dict[str, str]]:
    """The looks of a tile or legend, and the values of ``more`` parameters.

    Raises:
        InvalidInput: as :func:`parse_map`.
    """
    given = collect(pairs, (*LOOKS, *more))
    named = given.get("style")
    if named is not None and style is not None:
        raise InvalidInput("the style is named twice", "name it in the path")
    return _look(given, style or named), {name: given[name] for name in more if name in given}


def whole(text: str, name: str) -> int:
    """A whole number from 0.

    Raises:
        InvalidInput: naming the part of the address, when it is none.
    """
    if not re.fullmatch(r"[0-9]{1,9}", text):
        raise InvalidInput(f"{name} is {text[:80]!r}", "give a whole number from 0")
    return int(text)


def _look(given: Mapping[str, str], style: str | None) -> Look:
    return Look(_style(given, style), _when(given), _ends(given["range"]) if "range" in given else None)


def _when(given: Mapping[str, str]) -> Interval | None:
    if "subset" not in given:
        return parse_interval(given["datetime"], "datetime") if "datetime" in given else None
    subset = Subset.parse(given["subset"])
    if subset.x is not None or subset.y is not None:
        raise InvalidInput("a map takes no subset of a spatial axis", "give bbox, and time(...) only")
    if "datetime" in given:
        raise InvalidInput("both datetime and subset=time(...) are given", "use one of them")
    return subset.when


def _style(given: Mapping[str, str], style: str | None) -> str | None:
    """Each layer has a style of its own name."""
    if "properties" not in given:
        return style
    names = names_in(given["properties"], "properties")
    if style is not None:
        raise InvalidInput("both a style and properties are given", "use one of them")
    if len(names) > 1:
        raise InvalidInput(f"properties names {len(names)} layers", "name one; styles combine several")
    return names[0]


def _ends(text: str) -> tuple[float, float]:
    low, high = axis_range(text.replace(",", ":"), "range")
    if low is None or high is None or low >= high:
        raise InvalidInput(f"range is {text[:80]!r}", "give the lower and the higher value, such as 0:40")
    return low, high


def _side(given: Mapping[str, str], name: str) -> int | None:
    if name not in given:
        return None
    pixels = whole(given[name].strip(), name)
    if pixels < 1:
        raise InvalidInput(f"{name} is 0", "give a number of pixels from 1")
    if pixels > LONGEST_SIDE:
        raise LimitExceeded(f"{name} is {pixels}, more than {LONGEST_SIDE}", "ask for fewer pixels")
    return pixels


def _background(given: Mapping[str, str]) -> Colour | None:
    text = given.get("transparent")
    if text is not None and text.lower() not in ("true", "false"):
        raise InvalidInput(f"transparent is {text[:80]!r}", "give true or false")
    transparent = "bgcolor" not in given if text is None else text.lower() == "true"
    colour = _colour(given["bgcolor"]) if "bgcolor" in given else _WHITE
    return None if transparent else colour


def _colour(text: str) -> Colour:
    match = _COLOUR.fullmatch(text.strip())
    name = f"#{match[1]}" if match else text.strip().lower()
    if match is None and name not in ImageColor.colormap:
        raise InvalidInput(f"bgcolor is {text[:80]!r}", "give 0xRRGGBB or a name such as white")
    red, green, blue = ImageColor.getrgb(name)[:3]
    return red, green, blue

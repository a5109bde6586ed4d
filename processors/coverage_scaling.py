"""How an answer is made smaller or larger: the scaling parameters of OGC API Coverages."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from cup4soil.errors import InvalidInput
from processors.axes import axes_of, kind_of, number_of

SCALING: Final = ("scale-factor", "scale-axes", "scale-size", "resolution", "width", "height")
_LEAST_STEP = 1e-9
_WAYS = (("scale-factor",), ("scale-axes",), ("scale-size",), ("resolution",), ("width", "height"))


@dataclass(frozen=True, slots=True)
class Scaling:
    """How an answer is made smaller: by factors, to sizes in cells, or to cells of a size, along x and y.

    ``step_x`` and ``step_y`` are edges of cells in units of the output CRS. None leaves an axis as it is.
    """

    factor_x: float | None = None
    factor_y: float | None = None
    columns: int | None = None
    rows: int | None = None
    step_x: float | None = None
    step_y: float | None = None

    @property
    def axes(self) -> frozenset[str]:
        """Of ``x`` and ``y`` those that are scaled."""
        x, y = (self.factor_x, self.columns, self.step_x), (self.factor_y, self.rows, self.step_y)
        return frozenset(name for name, given in (("x", x), ("y", y)) if any(each is not None for each in given))


def parse_scaling(given: Mapping[str, str]) -> Scaling | None:
    """What the parameters of a request say of scaling; None where they say nothing.

    Raises:
        InvalidInput: when one is malformed, or two contradict each other.
    """
    ways = [way for way in _WAYS if any(name in given for name in way)]
    if len(ways) > 1:
        raise InvalidInput(f"both {' and '.join(way[0] for way in ways[:2])} are given", "use one of them")
    if "scale-factor" in given:
        factor = _factor(given["scale-factor"], "scale-factor")
        return Scaling(factor_x=factor, factor_y=factor)
    if "scale-axes" in given:
        x, y = _by_axis(given["scale-axes"], "scale-axes", _factor)
        return Scaling(factor_x=x, factor_y=y)
    if "scale-size" in given:
        columns, rows = _by_axis(given["scale-size"], "scale-size", _size)
        return Scaling(columns=columns, rows=rows)
    if "width" in given or "height" in given:
        width, height = (_size(given[name], name) if name in given else None for name in ("width", "height"))
        return Scaling(columns=width, rows=height)
    if "resolution" in given:
        x, y = _by_axis(given["resolution"], "resolution", _step)
        return Scaling(step_x=x, step_y=y)
    return None


def _by_axis[T](text: str, parameter: str, read: Callable[[str, str], T | None]) -> tuple[T | None, T | None]:
    values: dict[str, T | None] = {}
    for name, value in axes_of(text, parameter).items():
        kind = {"lon": "x", "lat": "y"}.get(kind_of(name), kind_of(name))
        if kind == "time" or kind in values:
            raise InvalidInput(f"{parameter} is {text[:80]!r}", "name E and N, or Lat and Lon, each once")
        values[kind] = read(value, parameter)
    return values.get("x"), values.get("y")


def _factor(text: str, parameter: str) -> float:
    factor = number_of(text, parameter)
    if not 1e-3 <= factor <= 1e6:
        raise InvalidInput(f"{parameter} is {text[:80]!r}", "give a factor from 0.001 to 1000000; 2 halves the size")
    return factor


def _size(text: str, parameter: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text.strip()) or int(text) < 1:
        raise InvalidInput(f"{parameter} is {text[:80]!r}", "give a whole number of cells from 1")
    return int(text)


def _step(text: str, parameter: str) -> float | None:
    """Edge of a cell; nothing stands for the native one."""
    if not text.strip():
        return None
    step = number_of(text, parameter)
    if step < _LEAST_STEP:
        raise InvalidInput(f"{parameter} is {text[:80]!r}", "give the distance of cells, in units of the axis, above 0")
    return step

"""What a derived indicator is: its formula, what that needs, its own error and its classes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cup4soil.errors import InvalidInput
from cup4soil.properties import SoilProperty

type Floats = NDArray[np.float64]
type Numbers = NDArray[np.int64]
# Values of the training rows, (n,), by property code in that property's conventional unit.
type Rows = Mapping[str, Floats]
# Parameters by name; ``thickness`` (cm) is that of the depth interval.
type Settings = Mapping[str, float]

THICKNESS = "thickness"


@dataclass(frozen=True, slots=True)
class Parameter:
    """A number that the user may set, within ``low`` and ``high``. Without a ``default`` it has to be given."""

    name: str
    title: str
    unit: str
    low: float
    high: float
    default: float | None = None

    def checked(self, value: float) -> float:
        """``value`` within the limits.

        Raises:
            InvalidInput: when it is not.
        """
        if not self.low <= value <= self.high:
            hint = f"give {self.low:g} to {self.high:g} {self.unit}".rstrip()
            raise InvalidInput(f"{self.name} of {value:g} {self.unit}".rstrip(), hint)
        return value


@dataclass(frozen=True, slots=True)
class Classes:
    """Classes of an indicator by number from 0: ``keys`` for programs, ``titles`` for people.

    ``assign`` numbers rows from the inputs, the indicator's values, (n,), and the parameters; -1 where a row
    belongs to none.
    """

    keys: tuple[str, ...]
    titles: tuple[str, ...]
    assign: Callable[[Rows, Floats, Settings], Numbers]


@dataclass(frozen=True, slots=True)
class RasterInput:
    """A raster that enters cell by cell, values within ``low`` and ``high``; ``bands`` in its file."""

    name: str
    title: str
    unit: str
    low: float
    high: float
    bands: int = 1


@dataclass(frozen=True, slots=True)
class Factors:
    """Rasters that together make one factor, 0 or more, by which the indicator's distribution is multiplied.

    ``ways``: sets of names, of each of which one alternative has to be given in full; ``optional`` ones may be.
    ``combine`` takes the rasters, (bands, cells) each, the parameters and the cell's edge in m, and gives (cells,).
    ``parameters``: those that a raster calls for, by its name.
    """

    inputs: tuple[RasterInput, ...]
    ways: tuple[tuple[frozenset[str], ...], ...]
    optional: frozenset[str]
    combine: Callable[[Mapping[str, Floats], Settings, float], Floats]
    parameters: Mapping[str, str]

    def check(self, given: frozenset[str]) -> None:
        """Whether ``given`` names are enough, and none too many.

        Raises:
            InvalidInput: when one is unknown, missing, or stands beside its alternative.
        """
        known = {each.name: each for each in self.inputs}
        for name in sorted(given - set(known)):
            raise InvalidInput(f"no input raster {name!r} is used", f"there are {', '.join(sorted(known))}")
        used = set(self.optional)
        for way in self.ways:
            shown = " or ".join(" with ".join(sorted(names)) for names in way)
            touched = [names for names in way if names & given]
            if len(touched) != 1 or not touched[0] <= given:
                found = ", ".join(sorted(frozenset().union(*touched) & given)) or "none of them"
                raise InvalidInput(f"of {shown} there is {found}", f"give {shown}, as --input NAME=FILE")
            used |= touched[0]


@dataclass(frozen=True, slots=True)
class Indicator:
    """One derived indicator.

    ``prop``: how it is called, its unit, stored unit and factor and its range, to which values are cut; where
    ``formula`` is None it has only classes. ``inputs``: codes of properties that one model has to predict
    jointly; ``optional`` ones enter where the model has them. ``per_depth``: the depth interval's thickness
    enters. ``error``: standard deviation of the formula's own error, (n,), in ``prop.unit``, where one is
    published. ``sources``: citations. ``limits``: what a user has to know.
    """

    prop: SoilProperty
    inputs: tuple[str, ...]
    formula: Callable[[Rows, Settings], Floats] | None
    sources: tuple[str, ...]
    expression: str
    optional: tuple[str, ...] = ()
    per_depth: bool = False
    parameters: tuple[Parameter, ...] = ()
    error: Callable[[Rows, Settings], Floats] | None = None
    error_text: str = "none published"
    classes: Classes | None = None
    factors: Factors | None = None
    limits: tuple[str, ...] = ()

    @property
    def code(self) -> str:
        """Code by which it is asked for."""
        return self.prop.code

    def settings(self, given: Mapping[str, float], thickness: float | None) -> dict[str, float]:
        """All parameters with their values; ``thickness`` (cm) is None where the model states no depth.

        Raises:
            InvalidInput: when one is unknown, missing or out of range.
        """
        known = {each.name: each for each in self.parameters}
        for name in given:
            if name not in known:
                there = f"there are {', '.join(known)}" if known else "it has none"
                raise InvalidInput(f"{self.code} has no parameter {name!r}", there)
        values = {name: each.default for name, each in known.items()} | dict(given)
        if self.per_depth:
            if thickness is None:
                raise InvalidInput(f"{self.code} needs a depth interval", "use a model trained for one, with --depth")
            values[THICKNESS] = thickness
        return {
            name: known[name].checked(value) if name in known else value
            for name, value in values.items()
            if value is not None
        }

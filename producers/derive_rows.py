"""A derived indicator under the weights of a forest: computed for each training row, predicted as a distribution."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cup4soil.errors import InvalidInput, InvalidSamples
from cup4soil.indicator_types import Classes, Floats, Indicator, Numbers, Rows, Settings
from cup4soil.methods.forest import QuantileForest
from cup4soil.methods.leaf_draws import DRAWS, deviates, repeated


@dataclass(frozen=True)
class Derivation:
    """What a forest says of an indicator; n training rows, d draws of the formula's error (1 without).

    ``values``: (n, d) in the indicator's unit, None where it has only classes; ``plain``: (n,), the same without the
    formula's error; ``classes``: (n, d) numbers,
    None where it has none. ``of_values`` predicts the values, ``of_classes`` reports a column for each class
    whose mean is the class's probability.
    """

    indicator: Indicator
    settings: Mapping[str, float]
    values: Floats | None
    plain: Floats | None
    classes: Numbers | None
    of_values: QuantileForest | None
    of_classes: QuantileForest | None


def derive(
    forest: QuantileForest, rows: Rows, indicator: Indicator, settings: Settings, *, seed: int = 0, draws: int = DRAWS
) -> Derivation:
    """The indicator for a ``forest`` whose training rows have the properties ``rows``.

    The formula's own error is added to every row as ``draws`` stratified normal deviates; the sum is cut to
    the indicator's range.

    Raises:
        InvalidInput: when an input is missing among the properties.
        InvalidSamples: when a training row has no value or class.
    """
    needed = _inputs(rows, indicator)
    values = plain = classes = of_values = of_classes = None
    if indicator.formula is not None:
        plain = np.asarray(indicator.formula(needed, settings), np.float64)
        values = _values(needed, indicator, plain, settings, seed, draws)
        plain = np.clip(plain, *indicator.prop.valid_range)
        of_values = repeated(forest, values)
    if indicator.classes is not None:
        classes = _numbers(needed, indicator, indicator.classes, settings, values)
        chosen = classes[:, :, None] == np.arange(len(indicator.classes.keys))
        of_classes = repeated(forest, chosen.astype(np.float64))
    return Derivation(indicator, settings, values, plain, classes, of_values, of_classes)


def missing_inputs(indicator: Indicator, codes: frozenset[str]) -> tuple[str, ...]:
    """Properties that the indicator needs and that are not among ``codes``, in the indicator's order."""
    return tuple(code for code in indicator.inputs if code not in codes)


def demand_inputs(indicator: Indicator, codes: frozenset[str]) -> None:
    """Refuse a model that does not predict all inputs together.

    Raises:
        InvalidInput: naming what is missing, and how to train it.
    """
    missing = missing_inputs(indicator, codes)
    if missing:
        raise InvalidInput(
            f"{indicator.code} needs {', '.join(indicator.inputs)} from one model, and this one has no"
            f" {', '.join(missing)}",
            f"train {', '.join(indicator.inputs)} jointly, on samples that have them all: separate models do not say"
            " how the properties vary together",
        )


def _inputs(rows: Rows, indicator: Indicator) -> dict[str, Floats]:
    demand_inputs(indicator, frozenset(rows))
    return {code: rows[code] for code in (*indicator.inputs, *indicator.optional) if code in rows}


def _values(rows: Rows, indicator: Indicator, plain: Floats, settings: Settings, seed: int, draws: int) -> Floats:
    _demand_known(np.isfinite(plain), indicator)
    table = plain[:, None]
    if indicator.error is not None:
        table = table + indicator.error(rows, settings)[:, None] * deviates(plain.size, draws, seed)
    return np.clip(table, *indicator.prop.valid_range)


def _numbers(rows: Rows, indicator: Indicator, classes: Classes, settings: Settings, values: Floats | None) -> Numbers:
    first = next(iter(rows.values()))
    columns = np.full((first.size, 1), np.nan) if values is None else values
    numbers = np.column_stack([classes.assign(rows, column, settings) for column in columns.T])
    _demand_known((numbers >= 0).all(axis=1), indicator)
    return numbers


def _demand_known(known: NDArray[np.bool_], indicator: Indicator) -> None:
    if not known.all():
        raise InvalidSamples(
            f"{int((~known).sum())} of {known.size} training rows have no {indicator.prop.title.lower()}",
            f"train the model on samples that have one ({indicator.expression})",
        )

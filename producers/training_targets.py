"""What a forest is grown on and what it reports: the scales of single properties, a texture's log-ratios, or both."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cup4soil.errors import InvalidInput, InvalidSamples
from cup4soil.methods import texture
from cup4soil.properties import TEXTURE_CODES, SoilProperty, property_codes
from cup4soil.soil_models import Group
from cup4soil.soil_outputs import Transform
from producers.samples import SampleTable, TargetSpec
from producers.training_request import TrainRequest, with_factor

type _Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Output:
    """One property reported: ``own`` is the column that the trees were grown on, None for a fraction of a texture."""

    prop: SoilProperty
    column: str
    unit: str
    transform: Transform
    own: int | None


@dataclass(frozen=True)
class Targets:
    """Training values of m samples: ``modelled`` (m, t), what the trees are grown on, and ``reported`` (m, r)."""

    group: Group
    outputs: tuple[Output, ...]
    modelled: _Floats
    reported: _Floats


def check_targets(request: TrainRequest, targets: Sequence[TargetSpec]) -> None:
    """Refuse logarithms that cannot be.

    Raises:
        InvalidInput: when one is asked for of what is no target, or of a texture.
    """
    known = {name for each in targets for name in (each.column, each.property.code)}
    unknown = [name for name in request.log_targets if name not in known]
    if unknown:
        raise InvalidInput(f"{unknown[0]!r} is no target", f"there are {', '.join(each.column for each in targets)}")
    codes = {each.property.code for each in targets}
    fractions = [each for each in targets if each.property.code in TEXTURE_CODES]
    if set(TEXTURE_CODES) <= codes and any(_logged(request, each) for each in fractions):
        raise InvalidInput("a texture has log-ratios of its own", "leave --log out for sand, silt and clay")


def targets_of(request: TrainRequest, targets: Sequence[TargetSpec], table: SampleTable) -> Targets:
    """The scales of the properties of ``table``, in its order.

    Clay, silt and sand together are brought to a sum of 100 % and modelled by their additive log-ratios; every other
    property on its own scale or its logarithm.

    Raises:
        InvalidSamples: when a logarithm is asked for where there is a negative value, or none above 0; or values of a
            property without a known range are too large for a map.
    """
    reported = np.array(table.values, dtype=np.float64)
    codes = [target.property.code for target in targets]
    fractions = [codes.index(code) for code in TEXTURE_CODES] if set(TEXTURE_CODES) <= set(codes) else []
    modelled: list[_Floats] = []
    if fractions:
        parts = reported[:, fractions]
        modelled += list(texture.alr(*texture.close(*parts.T).T).T)
        reported[:, fractions] = 100.0 * parts / parts.sum(axis=1, keepdims=True)
    outputs = []
    for place, target in enumerate(targets):
        own, transform = None, Transform(name="identity")
        if place not in fractions:
            own = len(modelled)
            transform = _transform(reported[:, place], logged=_logged(request, target))
            modelled.append(transform.apply(reported[:, place]))
        known = target.property.code in property_codes()
        shown = target.property if known else with_factor(target.property, reported[:, place])
        outputs.append(Output(shown, target.column, target.unit, transform, own))
    group: Group = "single" if len(outputs) == 1 else "joint"
    if fractions and len(outputs) == len(fractions):
        group = "texture"
    return Targets(group, tuple(outputs), np.column_stack(modelled), reported)


def _logged(request: TrainRequest, target: TargetSpec) -> bool:
    return request.log or bool({target.column, target.property.code} & set(request.log_targets))


def _transform(values: _Floats, *, logged: bool) -> Transform:
    """The scale modelled. Zeros (below what was detected) stand at half the smallest positive value under ln."""
    if not logged:
        return Transform(name="identity")
    if values.min() < 0 or values.max() <= 0:
        raise InvalidSamples(f"values of {values.min():g} have no logarithm", "train without --log")
    return Transform(name="ln", floor=float(values[values > 0].min()) / 2)

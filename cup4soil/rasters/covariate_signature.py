"""What a model has to remember of its covariates, so that others can be held against them."""

from collections.abc import Sequence
from typing import Literal

from cup4soil.errors import InvalidRaster, NotFound
from cup4soil.grids import parse_crs
from cup4soil.products import Frozen

type CovariateKind = Literal["continuous", "ordered", "classes"]


class CovariateSignature(Frozen):
    """One covariate: its name, the unit of its values, its kind and the CRS of its grid.

    ``unit`` is None for a pure number and where nothing tells. ``formula`` is what it is computed by, ``computed`` the
    text that declares it so; both are None for a raster.
    """

    name: str
    unit: str | None = None
    kind: CovariateKind = "continuous"
    crs: str
    formula: str | None = None
    computed: str | None = None


def declarations(signature: Sequence[CovariateSignature]) -> tuple[str, ...]:
    """The texts that declare the computed covariates of a signature, each once."""
    return tuple(dict.fromkeys(each.computed for each in signature if each.computed is not None))


def check_signature(given: Sequence[CovariateSignature], wanted: Sequence[CovariateSignature]) -> tuple[str, ...]:
    """Hold the covariates ``given`` against those ``wanted``, by name, unit, kind, CRS and formula.

    Returns:
        What could not be checked, as a unit that only one side states.

    Raises:
        NotFound: when some are missing; the message lists those there are.
        InvalidRaster: when some are not what was wanted; the message lists each.
    """
    found = {each.name: each for each in given}
    missing = [each.name for each in wanted if each.name not in found]
    if missing:
        raise NotFound(
            f"the model needs {len(missing)} covariates that are not given: {', '.join(missing[:5])}",
            f"give rasters of these names; there are {', '.join(found)}",
        )
    wrong = [told for each in wanted for told in _differences(found[each.name], each)]
    if wrong:
        raise InvalidRaster(
            f"the covariates are not those of the model: {', '.join(wrong)}", "give what the model was trained on"
        )
    return tuple(
        f"The unit of {each.name} is stated as {each.unit or found[each.name].unit} on one side only"
        " (model or raster); it was not checked."
        for each in wanted
        if (each.unit is None) != (found[each.name].unit is None)
    )


def _differences(given: CovariateSignature, wanted: CovariateSignature) -> list[str]:
    told = []
    if None not in (given.unit, wanted.unit) and given.unit != wanted.unit:
        told.append(f"{wanted.name} is in {given.unit} where the model has {wanted.unit}")
    # Whether a raster holds classes is often told by the user alone, who told it when the model was trained.
    if given.kind != wanted.kind and given.kind != "continuous":
        told.append(f"{wanted.name} holds {given.kind} values where the model has {wanted.kind}")
    if given.crs != wanted.crs and parse_crs(given.crs) != parse_crs(wanted.crs):
        told.append(f"{wanted.name} is in {_short(given.crs)} where the model has {_short(wanted.crs)}")
    if given.formula != wanted.formula:
        told.append(
            f"{wanted.name} is {given.formula or 'a raster'} where the model has {wanted.formula or 'a raster'}"
        )
    return told


def _short(code: str) -> str:
    return code if len(code) < 40 else f"another system ({code[:36]}...)"

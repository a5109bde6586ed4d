"""Soil texture as a composition: clay, silt and sand that sum to 100 %, and their additive log-ratios.

Fractions of one soil are bound by their sum. They are therefore modelled as log-ratios against sand
(Aitchison 1986, The Statistical Analysis of Compositional Data; for soil Odeh, Todd & Triantafilis 2003,
Soil Science 168, 501), on which every pair of numbers is a texture again. Logarithms need parts above
zero: those below a least share are raised to it, the others shrunk in proportion (multiplicative
replacement; Martín-Fernández, Barceló-Vidal & Pawlowsky-Glahn 2003, Mathematical Geology 35, 253).

Where silt ends and sand begins depends on the country: 50 um (USDA, FAO, HYPRES, LUCAS) or 63 um (ISO,
Germany). Classes are those of the package pedotri, whose polygons go by one of the two.
"""

from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np
import pedotri
import pedotri.psd
from numpy.typing import ArrayLike, NDArray

from cup4soil.errors import InvalidInput

WHOLE_PERCENT = 100.0
LEAST_PERCENT = 0.5
_PARTS = 3
type SiltLimit = Literal[50, 63]
System = Literal["usda", "fao", "hypres", "ka5"]
SYSTEMS: tuple[System, ...] = get_args(System)
_STANDARDS = {50: "USDA", 63: "KA5"}
_LIMIT_OF_SYSTEM: dict[System, SiltLimit] = {"usda": 50, "fao": 50, "hypres": 50, "ka5": 63}

type _Floats = NDArray[np.float64]


def close(clay: ArrayLike, silt: ArrayLike, sand: ArrayLike, least: float = LEAST_PERCENT) -> _Floats:
    """The fractions (n, 3) as clay, silt, sand in % of their sum, none below ``least`` %.

    ``clay``, ``silt``, ``sand``: (n,), in any one unit. A row with a missing fraction, or whose fractions
    are all zero (some laboratories write so where they did not measure, as in organic soils), is NaN.

    Raises:
        InvalidInput: when shapes differ, a fraction is negative or infinite, or ``least`` is not above 0
            and below a third of the whole.
    """
    if not 0.0 < least < WHOLE_PERCENT / _PARTS:
        raise InvalidInput(f"least fraction {least:g} %", "give percent above 0 and below a third of 100")
    parts = _rows(clay, silt, sand)
    for row in np.flatnonzero((parts < 0).any(axis=1))[:1]:
        raise InvalidInput(f"row {row} has a negative fraction: {parts[row].tolist()}", "give shares of 0 or more")
    total = parts.sum(axis=1, keepdims=True)
    known = (total > 0).ravel()
    shares = np.full(parts.shape, np.nan)
    shares[known] = _raised(WHOLE_PERCENT * parts[known] / total[known], least)
    return shares


def alr(clay: ArrayLike, silt: ArrayLike, sand: ArrayLike) -> _Floats:
    """Additive log-ratios (n, 2): ln(clay/sand), ln(silt/sand), of fractions (n,) in one unit.

    NaN where a fraction is missing.

    Raises:
        InvalidInput: when shapes differ or a fraction is not above 0: use :func:`close` first.
    """
    parts = _rows(clay, silt, sand)
    for row in np.flatnonzero((parts <= 0).any(axis=1))[:1]:
        raise InvalidInput(f"row {row} has no log-ratio: {parts[row].tolist()}", "replace zeros first, with close")
    logs = np.log(parts)
    ratios: _Floats = logs[:, :2] - logs[:, 2:]
    return ratios


def inverse_alr(ratios: ArrayLike) -> _Floats:
    """Clay, silt, sand (n, 3) in %, summing to 100, of log-ratios (n, 2) as :func:`alr` gives them.

    Raises:
        InvalidInput: when there are not two columns, or a ratio is infinite.
    """
    z = np.asarray(ratios, np.float64)
    if z.ndim != 2 or z.shape[1] != _PARTS - 1 or np.isinf(z).any():
        raise InvalidInput(f"log-ratios of shape {z.shape}", "give rows of two finite numbers")
    full = np.column_stack([z, np.zeros(z.shape[0])])
    # The largest part as reference: no exponential overflows.
    parts = np.exp(full - full.max(axis=1, keepdims=True))
    shares: _Floats = WHOLE_PERCENT * parts / parts.sum(axis=1, keepdims=True)
    return shares


def class_keys(system: System) -> tuple[str, ...]:
    """Keys of a system's classes, in the order that :func:`texture_class` numbers them.

    Raises:
        InvalidInput: when the system is not one of :data:`SYSTEMS`.
    """
    return tuple(each.key for each in _system(system).classes)


def class_titles(system: System) -> tuple[str, ...]:
    """English names of the classes of :func:`class_keys`."""
    return tuple(each.names.get("en", each.key) for each in _system(system).classes)


def texture_class(
    clay: ArrayLike, silt: ArrayLike, sand: ArrayLike, system: System, silt_limit: SiltLimit = 50
) -> NDArray[np.int64]:
    """Number of each texture's class in :func:`class_keys`; -1 where a fraction is missing.

    ``clay``, ``silt``, ``sand``: (n,), in any one unit, brought to the sum of 100 %. ``silt_limit``: the
    diameter (um) up to which they count silt; a system with the other limit gets them converted.

    Raises:
        InvalidInput: as of :func:`close`, and when the system or limit is unknown.
    """
    parts = _rows(clay, silt, sand)
    total = parts.sum(axis=1, keepdims=True)
    known = (total > 0).ravel()
    shares = WHOLE_PERCENT * parts[known] / total[known]
    found = _system(system)
    shares = move_silt_limit(shares[:, 0], shares[:, 1], shares[:, 2], silt_limit, _LIMIT_OF_SYSTEM[system])
    numbers = {each.key: number for number, each in enumerate(found.classes)}
    classes = np.full(known.size, -1, np.int64)
    if known.any():
        keys = pedotri.classify(list(shares[:, 2]), list(shares[:, 0]), found)
        classes[known] = [-1 if key is None else numbers[key] for key in keys]
    return classes


def by_class(table: Mapping[str, float], clay: ArrayLike, silt: ArrayLike, sand: ArrayLike) -> _Floats:
    """What ``table`` has for each texture's USDA class, by its key; NaN where a fraction is missing."""
    numbers = texture_class(clay, silt, sand, "usda")
    values = np.array([table[key] for key in class_keys("usda")], np.float64)
    return np.where(numbers < 0, np.nan, values[numbers])


def move_silt_limit(clay: ArrayLike, silt: ArrayLike, sand: ArrayLike, given: SiltLimit, wanted: SiltLimit) -> _Floats:
    """Fractions (n, 3) in % with silt up to ``wanted`` um, of those with silt up to ``given`` um, summing to 100.

    The sum curve is taken as straight over the logarithm of the diameter within silt (2 um to the limit) and
    within sand (to 2 mm): an approximation by what three fractions tell (Nemes et al. 1999, Geoderma 90, 187
    compare it with others). NaN where a fraction is missing.

    Raises:
        InvalidInput: when a limit is neither 50 nor 63, or a fraction is negative.
    """
    for limit in (given, wanted):
        if limit not in _STANDARDS:
            raise InvalidInput(f"silt up to {limit} um", "give 50 or 63")
    parts = _rows(clay, silt, sand)
    known = np.isfinite(parts).all(axis=1)
    moved = np.full(parts.shape, np.nan)
    try:
        coarse, fine, clays = pedotri.psd.convert(
            parts[known, 2], parts[known, 1], parts[known, 0], source=_STANDARDS[given], target=_STANDARDS[wanted]
        )
    except pedotri.InvalidInputError as error:
        raise InvalidInput(f"a texture cannot be converted: {error}", "give fractions in % that sum to 100") from error
    moved[known] = np.column_stack([clays, fine, coarse])
    return moved


def _system(system: System) -> pedotri.Classification:
    if system not in SYSTEMS:
        raise InvalidInput(f"no texture system {system!r}", f"use one of {', '.join(SYSTEMS)}")
    return pedotri.get_classification(system.upper())


def _rows(clay: ArrayLike, silt: ArrayLike, sand: ArrayLike) -> _Floats:
    columns = [np.asarray(part, np.float64) for part in (clay, silt, sand)]
    if any(column.ndim != 1 or column.shape != columns[0].shape for column in columns):
        shapes = ", ".join(str(column.shape) for column in columns)
        raise InvalidInput(f"clay, silt and sand of shapes {shapes}", "give columns of equal length")
    parts = np.column_stack(columns)
    if np.isinf(parts).any():
        raise InvalidInput("a fraction is infinite", "give finite numbers, or NaN where there is none")
    return parts


def _raised(shares: _Floats, least: float) -> _Floats:
    """No share below ``least``; shrinking the others may bring one more below it, but never all three."""
    low = np.zeros(shares.shape, np.bool_)
    for _ in range(_PARTS - 1):
        low |= shares < least
        free = np.where(low, 0.0, shares)
        room = WHOLE_PERCENT - least * low.sum(axis=1, keepdims=True)
        shares = np.where(low, least, free * room / free.sum(axis=1, keepdims=True))
    return shares

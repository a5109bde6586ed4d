"""Soil loss by water: the factors of the (revised) universal soil loss equation, A = R K LS C P.

Wischmeier & Smith 1978 (USDA Agriculture Handbook 537); Renard et al. 1997 (Handbook 703); for Europe
Panagos et al. 2014, Science of the Total Environment 479-480, 189 (K: mean 0.032, standard deviation
0.009 t ha h / (ha MJ mm)) and 2015, Environmental Science & Policy 54, 438. It is a long-term mean of
sheet and rill erosion. Missing inputs (NaN) give missing results; "checked against" as in
:mod:`cup4soil.methods.derived`.
"""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cup4soil.errors import InvalidInput
from cup4soil.methods.domains import within

# From the nomograph's U.S. customary unit to t ha h / (ha MJ mm).
_SI = 0.1317
VERY_FINE_SHARE_OF_SAND = 0.2
# The nomograph is drawn up to here; beyond, the equation extrapolates.
NOMOGRAPH_FINE_PERCENT = 70.0
MOST_MATTER_PERCENT = 4.0
COVER_EXPONENT = 0.035
_UNIT_PLOT_M = 22.13
_STEEP = 0.09
MONTHS = 12
# Permeability class by USDA texture, as in Panagos et al. 2014. Checked against an open implementation for
# classes 1 to 3, sandy clay and clay; that has 3 for clay loams, and none for silty clay: not verified.
PERMEABILITY: Mapping[str, int] = MappingProxyType(
    {
        "sand": 1,
        "loamy_sand": 2,
        "sandy_loam": 2,
        "loam": 3,
        "silt_loam": 3,
        "silt": 3,
        "sandy_clay_loam": 4,
        "clay_loam": 4,
        "silty_clay_loam": 5,
        "sandy_clay": 5,
        "silty_clay": 6,
        "clay": 6,
    }
)
_ANY = 1e12

type _Floats = NDArray[np.float64]


def erodibility(
    clay: ArrayLike,
    silt: ArrayLike,
    sand: ArrayLike,
    matter: ArrayLike,
    structure: ArrayLike,
    permeability: ArrayLike,
    very_fine_sand: ArrayLike | None = None,
) -> _Floats:
    """K (t ha h / (ha MJ mm)) by the equation of the nomograph (Wischmeier & Smith 1978).

    ``clay``, ``silt``, ``sand``, organic ``matter`` and ``very_fine_sand`` (0.05-0.1 mm) in %; where the last
    is not known, a fifth of the sand. Matter counts up to 4 %. ``structure`` 1 (very fine granular) to 4
    (blocky, platy, massive), ``permeability`` 1 (rapid) to 6 (very slow). Never below 0.

    Checked against an open implementation (exponent, fifth, cap, unit). The equation departs from the
    nomograph itself on more than half of Central European soils, mostly silty ones (Auerswald et al. 2014,
    Catena 118, 220), and extrapolates where silt and very fine sand exceed 70 %.
    """
    clay, silt, sand = (within(name, part, 0, 100, "%") for name, part in _named(clay, silt, sand))
    matter = np.minimum(within("matter", matter, 0, 100, "%"), MOST_MATTER_PERCENT)
    structure, permeability = within("structure", structure, 1, 4, ""), within("permeability", permeability, 1, 6, "")
    fine = VERY_FINE_SHARE_OF_SAND * sand if very_fine_sand is None else within("fine", very_fine_sand, 0, 100, "%")
    m = (silt + fine) * (100.0 - clay)
    nomograph = 2.1e-4 * m**1.14 * (12.0 - matter) + 3.25 * (structure - 2.0) + 2.5 * (permeability - 3.0)
    return np.asarray(np.maximum(nomograph / 100.0 * _SI, 0.0))


def stoniness(cover: ArrayLike) -> _Floats:
    """Factor by which stones on the surface (``cover`` in %) lower K: exp(-0.04 (cover - 10)), 1 up to 10 %.

    Poesen, Torri & Bunte 1994, Catena 23, 141, as in Panagos et al. 2014, whose stones lower the European K
    by 15 % on the mean. The formula itself is not verified.
    """
    return np.asarray(np.exp(-0.04 * np.maximum(within("cover", cover, 0, 100, "%") - 10.0, 0.0)))


def soil_loss_ratio(cover: ArrayLike) -> _Floats:
    """Soil loss under ``cover`` (%) relative to bare soil: exp(-0.035 cover).

    The surface cover subfactor of Renard et al. 1997 with their middle exponent (theirs ranges from 0.024 to
    0.07) and without roughness, roots and moisture. The exponent was checked against an open implementation.
    """
    return np.asarray(np.exp(-COVER_EXPONENT * within("cover", cover, 0, 100, "%")))


def cover_management(bare: ArrayLike, cover: ArrayLike, erosivity: ArrayLike | None = None) -> _Floats:
    """C of m places from the frequency of bare soil in each month.

    ``bare``: (12, m), share 0..1 of the observations in which the soil was bare; ``cover``: vegetation (%)
    when it was not, one number, (12,) or (12, m); ``erosivity``: (12,) or (12, m), the months' share of the
    yearly R, equal where None. C = sum of w (bare + (1 - bare) SLR(cover)). Months never observed are left
    out and the weights of the others raised; missing without any.

    Raises:
        InvalidInput: when shapes do not fit or no month has erosivity.
    """
    shares = within("bare", bare, 0, 1, "")
    if shares.ndim != 2 or shares.shape[0] != MONTHS:
        raise InvalidInput(f"bare-soil frequencies of shape {shares.shape}", "give one row for each of 12 months")
    ratio = soil_loss_ratio(_monthly("cover", cover, shares.shape))
    weight = _monthly(
        "erosivity", 1.0 if erosivity is None else within("erosivity", erosivity, 0, _ANY, ""), shares.shape
    )
    seen = np.where(np.isfinite(shares + ratio), weight, 0.0)
    total = seen.sum(axis=0)
    if not (total > 0).any() and np.isfinite(shares + ratio).any():
        raise InvalidInput("no month with observations has erosivity", "give the share of each month in the yearly R")
    losses = np.where(seen > 0, shares + (1.0 - shares) * ratio, 0.0)
    return np.asarray((seen * losses).sum(axis=0) / np.where(total > 0, total, np.nan))


def steepness(slope: ArrayLike) -> _Floats:
    """S from the ``slope`` (tangent of its angle, 0.09 for 9 %).

    10.8 sin + 0.03 below 9 %, 16.8 sin - 0.50 from there on: McCool et al. 1987, Transactions of the ASAE 30,
    1387, as in Handbook 703. Steep slopes are extrapolated: the data end near 18 %.
    """
    tangent = within("slope", slope, 0, 100, "")
    sine = np.sin(np.arctan(tangent))
    return np.asarray(np.where(tangent < _STEEP, 10.8 * sine + 0.03, 16.8 * sine - 0.50))


def length_exponent(slope: ArrayLike) -> _Floats:
    """Exponent m of slope length: b / (1 + b), b = (sin / 0.0896) / (3 sin^0.8 + 0.56), moderate rilling.

    Foster et al. 1977 and McCool et al. 1989, as in Handbook 703. Checked against a public calculator.
    """
    sine = np.sin(np.arctan(within("slope", slope, 0, 100, "")))
    rilling = (sine / 0.0896) / (3.0 * sine**0.8 + 0.56)
    return np.asarray(rilling / (1.0 + rilling))


def length(area: ArrayLike, slope: ArrayLike, cell: float, aspect: ArrayLike | None = None) -> _Floats:
    """L of a grid cell: Desmet & Govers 1996, Journal of Soil and Water Conservation 51, 427.

    ``area`` (m2): what drains into the cell, the cell itself not counted; ``cell``: its edge (m); ``slope`` as
    a tangent; ``aspect``: direction of flow in degrees, with which x = |sin| + |cos|, else x = 1.
    L = ((A + D2)^(m+1) - A^(m+1)) / (D^(m+2) x^m 22.13^m). Checked against Kinnell's account of it.
    """
    above, edge = within("area", area, 0, _ANY, "m2"), float(within("cell", cell, 1e-3, 1e5, "m"))
    m = length_exponent(slope)
    turned = 1.0 if aspect is None else _breadth(np.radians(within("aspect", aspect, 0, 360, "degrees")))
    gained = (above + edge**2) ** (m + 1.0) - above ** (m + 1.0)
    return np.asarray(gained / (edge ** (m + 2.0) * np.asarray(turned) ** m * _UNIT_PLOT_M**m))


def soil_loss(
    erosivity: ArrayLike, erodibility: ArrayLike, relief: ArrayLike, cover: ArrayLike, practice: ArrayLike = 1.0
) -> _Floats:
    """A = R K LS C P (t/(ha a)): R in MJ mm / (ha h a), K in t ha h / (ha MJ mm), the others without unit.

    C lies within 0 and 1.5 (a soil can lose more than the unit plot), P within 0 and 1.
    """
    r, k = within("erosivity", erosivity, 0, 1e5, "MJ mm/(ha h a)"), within("erodibility", erodibility, 0, 1, "")
    ls, c, p = (
        within("relief", relief, 0, 1e4, ""),
        within("cover", cover, 0, 1.5, ""),
        within("practice", practice, 0, 1, ""),
    )
    return np.asarray(r * k * ls * c * p)


def _named(clay: ArrayLike, silt: ArrayLike, sand: ArrayLike) -> list[tuple[str, ArrayLike]]:
    return [("clay", clay), ("silt", silt), ("sand", sand)]


def _breadth(angle: _Floats) -> _Floats:
    return np.asarray(np.abs(np.sin(angle)) + np.abs(np.cos(angle)))


def _monthly(name: str, values: ArrayLike, shape: tuple[int, ...]) -> _Floats:
    """One number, (12,) or (12, m) as (12, m)."""
    table = np.asarray(values, np.float64)
    if table.ndim == 1:
        table = table[:, None]
    try:
        return np.broadcast_to(table, shape)
    except ValueError:
        raise InvalidInput(f"{name} of shape {table.shape} for {shape}", "give one number, or one per month") from None

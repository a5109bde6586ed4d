"""Soil properties that follow from others, one formula each: arrays in, an array of the same shape out.

Arguments broadcast. A missing input (NaN) makes the result missing, and so does one outside the domain
that a formula was made for, where its docstring states one. Values that no soil has (a negative content,
more than 100 %) are refused. "Checked against" names an independent implementation or text that the
coefficients were compared with; what could not be compared is called not verified.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cup4soil.errors import InvalidInput
from cup4soil.methods.domains import within

# Organic matter per organic carbon; published values range from 1.4 to 2.5 (Pribyl 2010, Geoderma 156, 75).
VAN_BEMMELEN = 1.724
# Organic soils: no function for the density of mineral soils holds there (Hollis et al. 2012 part them here).
MOST_MINERAL_CARBON_PERCENT = 12.0
FIELD_CAPACITY_RMSE = 0.0546
WILTING_POINT_RMSE = 0.0491
# By USDA class, British light, medium and heavy soils having no classes of their own here.
LIME_FACTORS: Mapping[str, int] = MappingProxyType(
    dict.fromkeys(("sand", "loamy_sand"), 6)
    | dict.fromkeys(("sandy_loam", "loam", "silt_loam", "silt"), 7)
    | dict.fromkeys(("sandy_clay_loam", "clay_loam", "silty_clay_loam", "sandy_clay", "silty_clay", "clay"), 8)
)
# Change of the stock (%) from which land counts as degraded or improved (SDG indicator 15.3.1).
DEGRADED_PERCENT, IMPROVED_PERCENT = -10.0, 10.0

type _Floats = NDArray[np.float64]


def soc_stock(soc: ArrayLike, density: ArrayLike, thickness: ArrayLike, fragments: ArrayLike = 0.0) -> _Floats:
    """Stock of organic carbon (t/ha) of a layer.

    ``soc`` in g/kg of fine earth, ``density`` of the fine earth in g/cm3, ``thickness`` in cm, coarse
    ``fragments`` in vol %. An identity of units (10 000 m2 to the hectare), so without an error of its own.
    """
    soc, density = within("soc", soc, 0, 1000, "g/kg"), within("density", density, 0, 2.7, "g/cm3")
    thickness, stones = within("thickness", thickness, 0, 1000, "cm"), _percent("fragments", fragments)
    return np.asarray(0.1 * soc * density * thickness * (1 - stones / 100))


def organic_matter(carbon: ArrayLike) -> _Floats:
    """Organic matter in the unit of ``carbon`` (g/kg or %), by the factor 1.724 of van Bemmelen."""
    return VAN_BEMMELEN * within("carbon", carbon, 0, 1000, "g/kg")


def carbon_nitrogen(carbon: ArrayLike, nitrogen: ArrayLike, detection_limit: float = 0.0) -> _Floats:
    """Ratio of organic carbon to total nitrogen, both in g/kg; missing where nitrogen was not detected.

    ``detection_limit`` (g/kg): below it, and at 0, there is no ratio.
    """
    carbon, nitrogen = within("carbon", carbon, 0, 1000, "g/kg"), within("nitrogen", nitrogen, 0, 1000, "g/kg")
    detected = (nitrogen > 0) & (nitrogen >= detection_limit)
    return np.asarray(carbon / np.where(detected, nitrogen, np.nan))


def density_manrique_jones(carbon: ArrayLike) -> _Floats:
    """Bulk density (g/cm3) of mineral soil from organic ``carbon`` (%): 1.660 - 0.318 sqrt(OC).

    Manrique & Jones 1991, Soil Sci. Soc. Am. J. 55, 476 (12 000 pedons). Missing above 12 % carbon.
    Checked against two open implementations; no error of its own is used.
    """
    carbon = _mineral(carbon)
    return np.asarray(1.660 - 0.318 * np.sqrt(carbon))


def density_hollis(carbon: ArrayLike, sand: ArrayLike, clay: ArrayLike) -> _Floats:
    """Bulk density (g/cm3) of cultivated topsoil from organic ``carbon``, ``sand`` and ``clay`` (%).

    Hollis, Hannam & Bellamy 2012, European Journal of Soil Science 63, 96 (European soils). Missing
    above 12 % carbon. Checked against three open implementations; no error of its own is used.
    """
    carbon, sand, clay = _mineral(carbon), _percent("sand", sand), _percent("clay", clay)
    return np.asarray(0.80806 + 0.823844 * np.exp(-0.27993 * carbon) + 0.0014065 * sand - 0.0010299 * clay)


def density_adams(matter: ArrayLike, mineral_density: ArrayLike = 1.64) -> _Floats:
    """Bulk density (g/cm3) from organic ``matter`` (%): volumes of matter (0.244 g/cm3) and mineral soil add up.

    Adams 1973, Journal of Soil Science 24, 10. Checked against an open implementation.
    """
    matter, mineral = _percent("matter", matter), within("mineral_density", mineral_density, 0.1, 2.7, "g/cm3")
    return np.asarray(100.0 / (matter / 0.244 + (100.0 - matter) / mineral))


def field_capacity(clay: ArrayLike, silt: ArrayLike, carbon: ArrayLike) -> _Floats:
    """Water content (cm3/cm3) at field capacity (-33 kPa) from ``clay``, ``silt`` (< 50 um) and organic carbon (%).

    EU-PTF 09, Tóth et al. 2015, European Journal of Soil Science 66, 226; RMSE 0.0546 cm3/cm3. Checked
    against an open implementation.
    """
    clay, silt, carbon, u = _hydraulic(clay, silt, carbon)
    theta = 0.24492 - 0.18865 * u + 0.0045269 * clay + 0.0015354 * silt + 0.0014425 * silt * u
    return np.asarray(theta - 5.1106e-5 * silt * clay + 8.6762e-4 * clay * u)


def wilting_point(clay: ArrayLike, silt: ArrayLike, carbon: ArrayLike) -> _Floats:
    """Water content (cm3/cm3) at the wilting point (-1500 kPa); arguments as of :func:`field_capacity`.

    EU-PTF 12, Tóth et al. 2015; RMSE 0.0491 cm3/cm3. Checked against an open implementation.
    """
    clay, silt, carbon, u = _hydraulic(clay, silt, carbon)
    theta = 0.098776 + 0.0021271 * clay - 8.3658e-4 * silt - 0.076699 * u
    return np.asarray(theta + 3.8528e-5 * silt * clay + 0.0023295 * clay * u + 9.4979e-4 * silt * u)


def available_water(
    capacity: ArrayLike, wilting: ArrayLike, thickness: ArrayLike, fragments: ArrayLike = 0.0
) -> _Floats:
    """Water (mm) that a layer of ``thickness`` (cm) holds between two water contents (cm3/cm3).

    None where ``capacity`` lies below ``wilting``; coarse ``fragments`` (vol %) hold no water.
    """
    capacity, wilting = within("capacity", capacity, 0, 1, "cm3/cm3"), within("wilting", wilting, 0, 1, "cm3/cm3")
    thickness, stones = within("thickness", thickness, 0, 1000, "cm"), _percent("fragments", fragments)
    return np.asarray(np.maximum(capacity - wilting, 0.0) * 10.0 * thickness * (1 - stones / 100))


def packing_density(density: ArrayLike, clay: ArrayLike) -> _Floats:
    """Packing density (g/cm3): bulk density + 0.009 clay (%).

    Jones, Spoor & Thomasson 2003, Soil & Tillage Research 73, 131. The term of clay, and 1.75 as the limit
    of a high density, were checked against van den Akker's limit for roots in an open implementation; 1.40
    as the limit of a low one is not verified.
    """
    density, clay = within("density", density, 0, 2.7, "g/cm3"), _percent("clay", clay)
    return np.asarray(density + 0.009 * clay)


def carbon_clay(carbon: ArrayLike, clay: ArrayLike) -> _Floats:
    """Ratio of organic ``carbon`` (g/kg) to ``clay`` (%), both as a share of mass; missing without clay.

    Limits 1/8, 1/10 and 1/13 part very good, good, moderate and degraded structure: Prout et al. 2021,
    European Journal of Soil Science 72, 2493 (3809 sites in England and Wales). It judges sandy soils too
    well and clayey ones too badly elsewhere: Poeplau & Don 2023, Soil Use and Management 39, 1057.
    """
    carbon, clay = within("carbon", carbon, 0, 1000, "g/kg"), _percent("clay", clay)
    return np.asarray(carbon / (10.0 * np.where(clay > 0, clay, np.nan)))


def lime_requirement(ph: ArrayLike, factor: ArrayLike, target: float) -> _Floats:
    """Ground limestone (t/ha, neutralising value 50-55) that brings ``ph`` (in water) of arable topsoil to ``target``.

    (target - pH) x factor, none where the target is reached. Factors of arable land: 6 on sands, 7 on
    light loams and silts, 8 on clay loams and clays (British Nutrient Management Guide RB209). Checked
    against two public tables.
    """
    ph, factor = within("ph", ph, 0, 14, "pH"), within("factor", factor, 0, 30, "t/ha per pH")
    return np.asarray(np.maximum(float(within("target", target, 4, 8, "pH")) - ph, 0.0) * factor)


@dataclass(frozen=True, slots=True)
class Change:
    """Change of a stock between two times at m places: SDG indicator 15.3.1.

    ``relative``: (m,), median of r = 100 (new - old) / old in %; ``degraded``, ``improved``: (m,), the
    probabilities that r < -10 and r > +10; ``flag``: (m,) int8, -1, 0, 1 by the median alone, as the
    indicator counts. NaN, and 0 as flag, where a draw is missing.
    """

    relative: _Floats
    degraded: _Floats
    improved: _Floats
    flag: NDArray[np.int8]


def change(old: ArrayLike, new: ArrayLike) -> Change:
    """Change of a stock from d paired draws (d, m) of the ``old`` and the ``new`` one.

    Draws have to be paired, one state of what is unknown at both times: independent quantiles would double
    an error that both share.

    Raises:
        InvalidInput: when shapes differ, or an old stock is not above 0.
    """
    before, after = np.asarray(old, np.float64), np.asarray(new, np.float64)
    if before.ndim != 2 or before.shape != after.shape or not before.shape[0]:
        raise InvalidInput(f"draws of shapes {before.shape} and {after.shape}", "give paired draws: (draws, places)")
    if (before <= 0).any():
        raise InvalidInput("an old stock is not above 0", "leave such places out: nothing can be lost there")
    r = 100.0 * (after - before) / before
    known = np.isfinite(r).all(axis=0)
    middle = np.median(r, axis=0)
    degraded, improved = (
        np.where(known, each.mean(axis=0), np.nan) for each in (r < DEGRADED_PERCENT, r > IMPROVED_PERCENT)
    )
    flag = np.where(middle < DEGRADED_PERCENT, -1, np.where(middle > IMPROVED_PERCENT, 1, 0))
    return Change(np.where(known, middle, np.nan), degraded, improved, np.where(known, flag, 0).astype(np.int8))


def _percent(name: str, values: ArrayLike) -> _Floats:
    return within(name, values, 0, 100, "%")


def _mineral(carbon: ArrayLike) -> _Floats:
    values = _percent("carbon", carbon)
    return np.where(values <= MOST_MINERAL_CARBON_PERCENT, values, np.nan)


def _hydraulic(clay: ArrayLike, silt: ArrayLike, carbon: ArrayLike) -> tuple[_Floats, _Floats, _Floats, _Floats]:
    """Inputs of the EU-PTF, and u = 1 / (OC + 1)."""
    clay, silt, carbon = _percent("clay", clay), _percent("silt", silt), _percent("carbon", carbon)
    within("clay + silt", clay + silt, 0, 100.0 + 1e-6, "%")
    return clay, silt, carbon, np.asarray(1.0 / (carbon + 1.0))

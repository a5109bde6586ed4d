"""Soil properties: codes, units, valid ranges and vocabulary.

Codes, mapped units and conversion factors follow SoilGrids 2.0 (stored = value * factor), so that
a map reads the same in every tool that knows SoilGrids.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from cup4soil.errors import InvalidInput, NotFound

_INSPIRE = "http://inspire.ec.europa.eu/codelist/SoilDerivedObjectParameterNameValue/"
_GLOSIS = "http://w3id.org/glosis/model/codelists/physioChemicalPropertyCode-"
_AGROVOC = "http://aims.fao.org/aos/agrovoc/"


@dataclass(frozen=True, slots=True)
class SoilProperty:
    """One soil property as it is mapped.

    ``unit`` is the conventional unit that scaled values carry; ``stored_unit`` the unit of the
    integers in the file (stored = value * ``factor``). ``valid_range`` is inclusive, in ``unit``.
    ``conversions`` maps units a table may use to the factor that brings them to ``unit``.
    """

    code: str
    title: str
    unit: str
    stored_unit: str
    factor: int
    valid_range: tuple[float, float]
    conversions: Mapping[str, float]
    terms: tuple[str, ...] = ()
    ratio_scale: bool = True
    description: str = ""

    def to_unit(self, values: NDArray[np.float64], unit: str) -> NDArray[np.float64]:
        """Convert ``values`` given in ``unit`` to this property's conventional unit.

        Raises:
            InvalidInput: when ``unit`` is not one this property is measured in.
        """
        known = {normal_unit(name): factor for name, factor in self.conversions.items()}
        factor = known.get(normal_unit(unit))
        if factor is None:
            raise InvalidInput(
                f"{self.code} cannot be given in {unit!r}",
                f"use one of {', '.join(sorted(self.conversions))}",
            )
        return np.asarray(values, dtype=np.float64) * factor

    def in_range(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """True where ``values`` (in the conventional unit) are finite and physically possible."""
        low, high = self.valid_range
        return np.isfinite(values) & (values >= low) & (values <= high)


def normal_unit(unit: str) -> str:
    """Spell a unit one way: case, blanks and superscripts do not matter."""
    text = unit.strip().lower().replace("³", "3").replace("−", "-").replace("%", "percent")
    return text.replace(" ", "").replace("^", "").replace("per cent", "percent")


_MASS_TO_G_KG = MappingProxyType({"g/kg": 1.0, "%": 10.0, "mg/kg": 1e-3, "dg/kg": 0.1, "mass-%": 10.0})
_TO_PERCENT = MappingProxyType({"%": 1.0, "g/kg": 0.1, "fraction": 100.0})


_KNOWN = (
    SoilProperty(
        "soc",
        "Soil organic carbon",
        "g/kg",
        "dg/kg",
        10,
        (0.0, 600.0),
        _MASS_TO_G_KG,
        (_INSPIRE + "organicCarbonContent", _GLOSIS + "Carorg", _AGROVOC + "c_389fe908"),
        description="Mass of organic carbon in the fine earth.",
    ),
    SoilProperty(
        "phh2o",
        "Soil pH in water",
        "pH",
        "pH*10",
        10,
        (2.0, 11.0),
        MappingProxyType({"pH": 1.0, "pH*10": 0.1}),
        (_INSPIRE + "pHValue", _GLOSIS + "pH"),
        ratio_scale=False,
        description="pH of a soil suspension in water.",
    ),
    SoilProperty(
        "phcacl2",
        "Soil pH in calcium chloride",
        "pH",
        "pH*10",
        10,
        (2.0, 11.0),
        MappingProxyType({"pH": 1.0, "pH*10": 0.1}),
        (_INSPIRE + "pHValue", _GLOSIS + "pH"),
        ratio_scale=False,
        description="pH of a soil suspension in 0.01 mol/l calcium chloride.",
    ),
    SoilProperty(
        "clay",
        "Clay content",
        "%",
        "g/kg",
        10,
        (0.0, 100.0),
        _TO_PERCENT,
        (_INSPIRE + "clayContent",),
        description="Share of particles below 0.002 mm in the fine earth.",
    ),
    SoilProperty(
        "silt",
        "Silt content",
        "%",
        "g/kg",
        10,
        (0.0, 100.0),
        _TO_PERCENT,
        (_INSPIRE + "siltContent",),
        description="Share of particles between clay and sand in the fine earth.",
    ),
    SoilProperty(
        "sand",
        "Sand content",
        "%",
        "g/kg",
        10,
        (0.0, 100.0),
        _TO_PERCENT,
        (_INSPIRE + "sandContent",),
        description="Share of the coarsest particles of the fine earth.",
    ),
    SoilProperty(
        "bdod",
        "Bulk density of the fine earth",
        "kg/dm3",
        "cg/cm3",
        100,
        (0.01, 2.65),
        MappingProxyType({"kg/dm3": 1.0, "g/cm3": 1.0, "cg/cm3": 0.01, "t/m3": 1.0, "kg/m3": 1e-3}),
        (_INSPIRE + "bulkDensity",),
        description="Mass of dry fine earth in a volume of soil.",
    ),
    SoilProperty(
        "cec",
        "Cation exchange capacity at pH 7",
        "cmol(c)/kg",
        "mmol(c)/kg",
        10,
        (0.0, 250.0),
        MappingProxyType({"cmol(c)/kg": 1.0, "mmol(c)/kg": 0.1, "meq/100g": 1.0}),
        (_INSPIRE + "cationExchangeCapacity",),
        description="Exchangeable cations the soil can hold.",
    ),
    SoilProperty(
        "cfvo",
        "Coarse fragments",
        "vol %",
        "permille",
        10,
        (0.0, 100.0),
        MappingProxyType({"vol %": 1.0, "%": 1.0, "permille": 0.1}),
        description="Volume of particles above 2 mm.",
    ),
    SoilProperty(
        "nitrogen",
        "Total nitrogen",
        "g/kg",
        "cg/kg",
        100,
        (0.0, 60.0),
        MappingProxyType({"g/kg": 1.0, "%": 10.0, "mg/kg": 1e-3, "cg/kg": 0.01}),
        (_INSPIRE + "nitrogenContent", _AGROVOC + "c_bdc779f4"),
        description="Mass of total nitrogen in the fine earth.",
    ),
)
_PROPERTIES = {each.code: each for each in _KNOWN}

TEXTURE_CODES = ("clay", "silt", "sand")


def soil_property(code: str) -> SoilProperty:
    """The property with this SoilGrids code.

    Raises:
        NotFound: when the code is unknown; the message lists those that are.
    """
    try:
        return _PROPERTIES[code]
    except KeyError:
        raise NotFound(f"no soil property {code!r}", f"use one of {', '.join(property_codes())}") from None


def property_codes() -> tuple[str, ...]:
    """All known codes in alphabetical order."""
    return tuple(sorted(_PROPERTIES))

"""Soil properties: codes, units, valid ranges and vocabulary.

Codes, mapped units and conversion factors follow SoilGrids 2.0 (stored = value * factor), so that
a map reads the same in every tool that knows SoilGrids.
"""

import re
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
    """Spell a unit one way: case, blanks, superscripts, ``g kg-1`` or ``g/kg`` do not matter."""
    text = unit.strip().lower()
    for written, plain in (("³", "3"), ("−", "-"), ("⁻¹", "-1"), ("¹", "1"), ("µ", "u"), ("μ", "u"), ("%", "percent")):
        text = text.replace(written, plain)
    text = text.replace("^", "").replace("per cent", "percent")
    text = re.sub(r"[\s·.]+(100\s*g|[a-z]+)\s*-([123])$", _divided, text)
    return text.replace(" ", "")


def _divided(match: re.Match[str]) -> str:
    power = match[2] if match[2] != "1" else ""
    return f"/{match[1]}{power}"


_MASS_TO_G_KG = MappingProxyType({"g/kg": 1.0, "%": 10.0, "mg/kg": 1e-3, "dg/kg": 0.1, "mass-%": 10.0})
_TO_PERCENT = MappingProxyType({"%": 1.0, "g/kg": 0.1, "g/100g": 1.0, "fraction": 100.0})
_TO_MG_KG = MappingProxyType({"mg/kg": 1.0, "ppm": 1.0, "ug/g": 1.0, "ug/kg": 1e-3, "mg/100g": 10.0, "g/kg": 1000.0})
_TO_DS_M = MappingProxyType({"dS/m": 1.0, "mS/m": 0.01, "mS/cm": 1.0, "uS/cm": 1e-3, "S/m": 10.0})
_TO_VOL_PERCENT = MappingProxyType(
    {"vol %": 1.0, "%": 1.0, "cm3/cm3": 100.0, "m3/m3": 100.0, "1e-3 cm3/cm3": 0.1, "100cm3/cm3": 1.0}
)


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
        (_INSPIRE + "clayContent", _GLOSIS + "Textclay"),
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
        (_INSPIRE + "siltContent", _GLOSIS + "Textsilt"),
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
        (_INSPIRE + "sandContent", _GLOSIS + "Textsand"),
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
        MappingProxyType({"vol %": 1.0, "%": 1.0, "permille": 0.1, "100cm3/cm3": 1.0}),
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
        (_INSPIRE + "nitrogenContent", _GLOSIS + "Nittot", _AGROVOC + "c_bdc779f4"),
        description="Mass of total nitrogen in the fine earth.",
    ),
)


def _mass(
    code: str, title: str, limit: float, terms: tuple[str, ...] = (), description: str = "", factor: int = 10
) -> SoilProperty:
    """A share of the fine earth's mass in g/kg, up to ``limit``."""
    stored = {10: "dg/kg", 100: "cg/kg"}[factor]
    return SoilProperty(
        code, title, "g/kg", stored, factor, (0.0, limit), _MASS_TO_G_KG, terms, description=description
    )


def _trace(
    code: str, title: str, factor: int, limit: float, terms: tuple[str, ...] = (), description: str = ""
) -> SoilProperty:
    """A content in mg/kg of the fine earth, up to ``limit``; the factor leaves room for polluted and mined soils."""
    stored = "mg/kg" if factor == 1 else f"mg/kg*{factor}"
    return SoilProperty(
        code, title, "mg/kg", stored, factor, (0.0, limit), _TO_MG_KG, terms,
        description=description or f"{title} in aqua regia digestion (pseudo-total content).",
    )  # fmt: skip


def _conductivity(code: str, title: str, description: str) -> SoilProperty:
    return SoilProperty(code, title, "dS/m", "mS/m", 100, (0.0, 300.0), _TO_DS_M, description=description)


def _water(code: str, title: str, suction: str) -> SoilProperty:
    return SoilProperty(
        code, title, "vol %", "1e-3 cm3/cm3", 10, (0.0, 100.0), _TO_VOL_PERCENT,
        description=f"Volume of water that the soil holds at a suction of {suction}.",
    )  # fmt: skip


# GloSIS terms are those of its code list of physio-chemical properties. What has none there has none here.
_MORE = (
    _mass("som", "Soil organic matter", 1000.0, description="Mass of organic matter in the fine earth."),
    _mass("totc", "Total carbon", 1000.0, (_GLOSIS + "Cartot",), "Mass of organic and inorganic carbon."),
    _mass("caco3", "Calcium carbonate equivalent", 1000.0, description="Mass of carbonates, as calcium carbonate."),
    _mass("feox", "Oxalate-extractable iron", 300.0, description="Iron in acid ammonium oxalate.", factor=100),
    _mass("alox", "Oxalate-extractable aluminium", 300.0, description="Aluminium in acid oxalate.", factor=100),
    SoilProperty(
        "phkcl", "Soil pH in potassium chloride", "pH", "pH*10", 10, (2.0, 11.0),
        MappingProxyType({"pH": 1.0, "pH*10": 0.1}), (_INSPIRE + "pHValue", _GLOSIS + "pH"), ratio_scale=False,
        description="pH of a soil suspension in 1 mol/l potassium chloride.",
    ),
    _trace(
        "p", "Available phosphorus", 10, 3000.0, (_GLOSIS + "Phoext",),
        "Extractable phosphorus (P, not P2O5). Extracts differ (Olsen in LUCAS; Mehlich 3, Bray 1 and others give other"
        " figures): samples of one map have to be of one method.",
    ),
    _trace(
        "ptot", "Total phosphorus", 1, 30_000.0, (_GLOSIS + "Photot",), "Total phosphorus (P, not P2O5).",
    ),
    _trace(
        "k", "Extractable potassium", 1, 30_000.0, (_GLOSIS + "Potext",),
        "Extractable potassium (K, not K2O); samples of one map have to be of one extract.",
    ),
    _conductivity(
        "ec", "Electrical conductivity (1:5)",
        "Conductivity of a 1:5 soil-water suspension (ISO 11265); it is several times lower than that of a saturation"
        " extract, in which salinity classes are given.",
    ),
    _conductivity("ece", "Electrical conductivity (saturation extract)", "Conductivity of the saturation extract."),
    SoilProperty(
        "ocd", "Organic carbon density", "kg/m3", "hg/m3", 10, (0.0, 600.0),
        MappingProxyType({"kg/m3": 1.0, "hg/m3": 0.1, "g/cm3": 1000.0, "g/dm3": 1.0}),
        description="Mass of organic carbon in a volume of soil.",
    ),
    _water("wv0010", "Water content at 10 kPa", "10 kPa"),
    _water("wv0033", "Water content at 33 kPa", "33 kPa, about field capacity"),
    _water("wv1500", "Water content at 1500 kPa", "1500 kPa, the wilting point"),
    _trace("as", "Arsenic", 10, 3000.0),
    _trace("cd", "Cadmium", 100, 300.0),
    _trace("co", "Cobalt", 10, 3000.0),
    _trace("cr", "Chromium", 10, 3000.0),
    _trace("cu", "Copper", 10, 3000.0, (_GLOSIS + "Coptot",)),
    _trace("hg", "Mercury", 100, 300.0),
    _trace("mn", "Manganese", 1, 30_000.0, (_GLOSIS + "Mantot",)),
    _trace("ni", "Nickel", 10, 3000.0),
    _trace("pb", "Lead", 1, 30_000.0),
    _trace("sb", "Antimony", 100, 300.0),
    _trace("v", "Vanadium", 10, 3000.0),
    _trace("zn", "Zinc", 1, 30_000.0),
)  # fmt: skip
_PROPERTIES = {each.code: each for each in (*_KNOWN, *_MORE)}

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

"""Indicators of erosion by water: erodibility of the soil, and soil loss with relief, rain and cover as rasters."""

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from cup4soil.errors import InvalidInput
from cup4soil.indicator_types import Factors, Floats, Indicator, Parameter, RasterInput, Rows, Settings
from cup4soil.methods import derived, erosion, texture
from cup4soil.properties import SoilProperty

_INPUTS = ("clay", "silt", "sand", "soc")
_PANAGOS = (
    "Panagos, P. et al. (2014): Soil erodibility in Europe: a high-resolution dataset based on LUCAS. Science of the"
    " Total Environment 479-480, 189-200. https://doi.org/10.1016/j.scitotenv.2014.02.010"
)
_NOMOGRAPH = (
    "Wischmeier, W.H. and Smith, D.D. (1978): Predicting rainfall erosion losses. USDA Agriculture Handbook 537."
)
_RUSLE = "Renard, K.G. et al. (1997): Predicting soil erosion by water (RUSLE). USDA Agriculture Handbook 703."
_LIMITS = (
    "Very fine sand is taken as a fifth of the sand, structure as the same everywhere, permeability from texture.",
    "The equation departs from the nomograph on many silty soils (Auerswald et al. 2014), and extrapolates above 70 %"
    " silt and very fine sand. No error of it is published: the interval is that of its inputs alone.",
)
_STRUCTURE = Parameter("structure", "Structure class of the nomograph", "", 1, 4, 3.0)


def _erodibility(rows: Rows, settings: Settings) -> Floats:
    clay, silt, sand = (rows[code] for code in ("clay", "silt", "sand"))
    permeability = texture.by_class(erosion.PERMEABILITY, clay, silt, sand)
    matter = derived.organic_matter(rows["soc"]) / 10
    k = erosion.erodibility(clay, silt, sand, matter, settings["structure"], permeability)
    # Stones in the soil stand for those on its surface, as in Panagos et al. (2014).
    return k * erosion.stoniness(rows["cfvo"]) if "cfvo" in rows else k


def _factor(rasters: Mapping[str, Floats], settings: Settings, cell: float) -> Floats:
    """R LS C P of each cell."""
    cover = rasters["c"][0] if "c" in rasters else _cover(rasters, settings)
    practice = rasters["p"][0] if "p" in rasters else np.ones_like(cover)
    return erosion.soil_loss(rasters["r"][0], 1.0, _relief(rasters, cell), cover, practice)


def _cover(rasters: Mapping[str, Floats], settings: Settings) -> Floats:
    if "cover" not in settings:
        raise InvalidInput(
            "bare-soil frequencies without the cover of soil that is not bare", "give --parameter cover="
        )
    weights = rasters.get("erosivity")
    return erosion.cover_management(rasters["bare"], settings["cover"], weights)


def _relief(rasters: Mapping[str, Floats], cell: float) -> Floats:
    if "ls" in rasters:
        return np.asarray(rasters["ls"][0])
    slope = np.tan(np.radians(rasters["slope"][0]))
    return np.asarray(erosion.steepness(slope) * erosion.length(rasters["area"][0], slope, cell))


_RASTERS = (
    RasterInput("r", "Rainfall erosivity R", "MJ mm/(ha h a)", 0, 1e5),
    RasterInput("c", "Cover and management factor C", "1", 0, 1.5),
    RasterInput("bare", "Bare-soil frequency of each month, as in SFREQ-MONTHLY", "1", 0, 1, 12),
    RasterInput("erosivity", "Share of each month in the yearly R", "1", 0, 1e6, 12),
    RasterInput("ls", "Relief factor LS", "1", 0, 1e4),
    RasterInput("slope", "Slope", "degrees", 0, 89),
    RasterInput("area", "Area that drains into the cell, without the cell", "m2", 0, 1e12),
    RasterInput("p", "Support practice factor P", "1", 0, 1),
)


def _property(code: str, title: str, unit: str, stored: str, factor: int, most: float, what: str) -> SoilProperty:
    units = MappingProxyType({unit: 1.0})
    return SoilProperty(code, title, unit, stored, factor, (0.0, most), units, description=what)


def _ways(*names: str) -> tuple[frozenset[str], ...]:
    return tuple(frozenset(each.split()) for each in names)


EROSION = (
    Indicator(
        _property("usle-k", "Soil erodibility (USLE K)", "t ha h/(ha MJ mm)", "1e-5 t ha h/(ha MJ mm)", 100_000, 0.3,
                  "Soil lost per unit of rainfall erosivity from the unit plot."),
        _INPUTS, _erodibility, (_NOMOGRAPH, _PANAGOS),
        "[2.1e-4 M^1.14 (12 - OM) + 3.25 (s - 2) + 2.5 (p - 3)]/100 0.1317 exp(-0.04 (CF - 10))", optional=("cfvo",),
        parameters=(_STRUCTURE,), limits=_LIMITS,
    ),
    Indicator(
        _property("soil-loss", "Soil loss by water", "t/(ha a)", "0.1 t/(ha a)", 10, 3270,
                  "Long-term mean soil loss by sheet and rill erosion."),
        _INPUTS, _erodibility, (_NOMOGRAPH, _RUSLE, _PANAGOS), "A = R K LS C P", optional=("cfvo",),
        parameters=(_STRUCTURE, Parameter("cover", "Vegetation cover of soil that is not bare", "%", 0, 100)),
        factors=Factors(
            _RASTERS,
            (_ways("r"), _ways("c", "bare"), _ways("ls", "slope area")), frozenset({"erosivity", "p"}), _factor,
            MappingProxyType({"bare": "cover"}),
        ),
        limits=(*_LIMITS, "Rain, relief, cover and practice are taken as known: the interval is that of K alone, and"
                " too narrow for the soil loss. Gullies, deposition and single storms are not in it."),
    ),
)  # fmt: skip

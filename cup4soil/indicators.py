"""The derived indicators, and those that are not mapped, with the reason.

Each is computed for every training row of a model that predicts its inputs jointly, and predicted under the
weights of the model's forest (:mod:`cup4soil.methods.leaf_draws`).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import cast

import numpy as np

from cup4soil.errors import NotFound
from cup4soil.indicator_erosion import EROSION
from cup4soil.indicator_types import THICKNESS, Classes, Floats, Indicator, Numbers, Parameter, Rows, Settings
from cup4soil.methods import derived, texture
from cup4soil.methods.domains import classify
from cup4soil.properties import SoilProperty, soil_property
from cup4soil.soil_law import soil_monitoring_law

_TEXTURE = ("clay", "silt", "sand")
_ROUNDED_PERCENT = 102.0
_ORGANIC_G_KG = 10.0 * derived.MOST_MINERAL_CARBON_PERCENT
_TOTH = (
    "Tóth, B. et al. (2015): New generation of hydraulic pedotransfer functions for Europe. European Journal of Soil"
    " Science 66, 226-238. https://doi.org/10.1111/ejss.12192"
)
_PROUT = (
    "Prout, J.M. et al. (2021): What is a good level of soil organic matter? An index based on organic carbon to clay"
    " ratio. European Journal of Soil Science 72, 2493-2503. https://doi.org/10.1111/ejss.13012"
)
_NO_STONES = "Without coarse fragments among the model's properties soil is taken to hold none."
_STATE = "The state of the soil, not how it came about: naturally dense, saline or poor soils are not told apart."


def _own(code: str, title: str, unit: str, stored: str, factor: int, most: float, description: str) -> SoilProperty:
    return SoilProperty(
        code, title, unit, stored, factor, (0.0, most), MappingProxyType({unit: 1.0}), description=description
    )


def _stock(rows: Rows, settings: Settings) -> Floats:
    # 1 kg/m2 is 10 t/ha.
    return np.asarray(0.1 * derived.soc_stock(rows["soc"], rows["bdod"], settings[THICKNESS], rows.get("cfvo", 0.0)))


def _hydraulic(rows: Rows) -> tuple[Floats, Floats, Floats]:
    total = rows["clay"] + rows["silt"]
    # Laboratories round: a sum a little above 100 % is one of 100 %.
    rounded = np.where((total > 100) & (total <= _ROUNDED_PERCENT), 100 / np.maximum(total, 1.0), 1.0)
    return rows["clay"] * rounded, rows["silt"] * rounded, rows["soc"] / 10


def _available(rows: Rows, settings: Settings) -> Floats:
    between = derived.field_capacity(*_hydraulic(rows)) - derived.wilting_point(*_hydraulic(rows))
    return between * _millimetres(rows, settings)


def _available_error(rows: Rows, settings: Settings) -> Floats:
    rmse = float(np.hypot(derived.FIELD_CAPACITY_RMSE, derived.WILTING_POINT_RMSE))
    return rmse * _millimetres(rows, settings)


def _millimetres(rows: Rows, settings: Settings) -> Floats:
    """Depth of soil (mm) without its stones."""
    stones = np.asarray(rows.get("cfvo", np.zeros_like(rows["clay"])))
    return np.asarray(10.0 * settings[THICKNESS] * (1 - stones / 100))


def _everywhere(value: float, rows: Rows) -> Floats:
    return np.full(rows["clay"].shape, value)


def _lime(rows: Rows, settings: Settings) -> Floats:
    return derived.lime_requirement(rows["phh2o"], _by_texture(derived.LIME_FACTORS, rows), settings["target"])


def _by_texture(table: Mapping[str, float], rows: Rows) -> Floats:
    return texture.by_class(table, rows["clay"], rows["silt"], rows["sand"])


def _texture(rows: Rows, system: texture.System, limit: int) -> Numbers:
    silt_limit = cast(texture.SiltLimit, limit)
    return texture.texture_class(rows["clay"], rows["silt"], rows["sand"], system, silt_limit)


def _bounded(bounds: tuple[float, ...], keys: tuple[str, ...], titles: tuple[str, ...]) -> Classes:
    return Classes(keys, titles, lambda _rows, values, _settings: classify(values, bounds))


def _texture_classes(system: texture.System) -> Classes:
    keys = tuple(key.lower() for key in texture.class_keys(system))
    titles = texture.class_titles(system)

    def assign(rows: Rows, _values: Floats, settings: Settings) -> Numbers:
        return _texture(rows, system, int(settings["silt-limit"]))

    return Classes(keys, titles, assign)


def _salinity(rows: Rows, _values: Floats, _settings: Settings) -> Numbers:
    return classify(rows["ece"], (2.0, 4.0, 8.0, 16.0))


_MET = (("missed", "met"), ("target value missed", "target value met"))


def _law_carbon(rows: Rows, _values: Floats, settings: Settings) -> Numbers:
    criterion = soil_monitoring_law().criterion("carbon")
    ratio = derived.carbon_clay(rows["soc"], rows["clay"])
    # Without clay any carbon exceeds the ratio.
    ratio = np.where(rows["clay"] > 0, ratio, np.inf)
    met = criterion.met(ratio, settings["correction"] * (criterion.limit or 0.0)).astype(np.int64)
    return np.where(rows["soc"] >= _ORGANIC_G_KG, 2, met)


def _law_salinity(rows: Rows, _values: Floats, _settings: Settings) -> Numbers:
    criterion = soil_monitoring_law().criterion("salinity")
    return criterion.met(rows["ece"], criterion.limit or 0.0).astype(np.int64)


def _law_compaction(rows: Rows, _values: Floats, _settings: Settings) -> Numbers:
    criterion = soil_monitoring_law().criterion("compaction")
    limits = _by_texture(criterion.limits, rows)
    return np.where(np.isnan(limits), -1, criterion.met(rows["bdod"], limits))


def _texture_indicator(system: texture.System, title: str, source: str) -> Indicator:
    limit = Parameter("silt-limit", "Diameter up to which the samples' silt is counted (50 or 63)", "um", 50, 63, 50.0)
    return Indicator(
        _own(f"texture-{system}", f"Soil texture class ({title})", "1", "1", 1, 100, f"Texture class after {title}."),
        _TEXTURE, None, (source,), "polygons in the texture triangle (package pedotri)", parameters=(limit,),
        error_text="none: a definition", classes=_texture_classes(system),
    )  # fmt: skip


def _law(code: str, title: str, inputs: tuple[str, ...], classes: Classes, **more: object) -> Indicator:
    law = soil_monitoring_law()
    criterion = law.criterion(code)
    notes = (law.note, _STATE) + (() if criterion.verified else (criterion.remark,))
    prop = _own(f"sml-{code}", title, "1", "1", 1, 1, criterion.descriptor + ".")
    sources = (f"{law.title}. {law.source}",)
    return Indicator(
        prop, inputs, None, sources, f"{criterion.property} {criterion.relation} target value", classes=classes,
        error_text="none: a definition", limits=notes, **more,  # type: ignore[arg-type]
    )  # fmt: skip


_INDICATORS = (
    Indicator(
        _own("ocs", "Soil organic carbon stock", "kg/m2", "t/ha", 10, 3000, "Mass of organic carbon below an area."),
        ("soc", "bdod"), _stock, ("An identity of units.",), "0.1 SOC BD H (1 - CF/100) in t/ha", optional=("cfvo",),
        per_depth=True, error_text="none: an identity", limits=(_NO_STONES,),
    ),
    Indicator(
        soil_property("som"), ("soc",), lambda rows, _: derived.organic_matter(rows["soc"]),
        ("Pribyl, D.W. (2010): A critical review of the conventional SOC to SOM conversion factor. Geoderma 156,"
         " 75-83. https://doi.org/10.1016/j.geoderma.2010.02.003",),
        "1.724 SOC", limits=("The factor 1.724 is conventional; measured ones range from 1.4 to 2.5.",),
    ),
    Indicator(
        _own("cn", "Carbon to nitrogen ratio", "1", "0.1", 10, 3000, "Organic carbon over total nitrogen."),
        ("soc", "nitrogen"),
        lambda rows, settings: derived.carbon_nitrogen(rows["soc"], rows["nitrogen"], settings["lod"]),
        ("A definition.",), "SOC / N", error_text="none: a definition",
        parameters=(Parameter("lod", "Limit of detection of nitrogen", "g/kg", 0, 10, 0.0),),
    ),
    Indicator(
        soil_property("wv0033"), ("clay", "silt", "soc"),
        lambda rows, _: 100 * derived.field_capacity(*_hydraulic(rows)),
        (_TOTH,), "EU-PTF 09", error=lambda rows, _: _everywhere(100 * derived.FIELD_CAPACITY_RMSE, rows),
        error_text="RMSE 5.46 vol %",
    ),
    Indicator(
        soil_property("wv1500"), ("clay", "silt", "soc"),
        lambda rows, _: 100 * derived.wilting_point(*_hydraulic(rows)),
        (_TOTH,), "EU-PTF 12", error=lambda rows, _: _everywhere(100 * derived.WILTING_POINT_RMSE, rows),
        error_text="RMSE 4.91 vol %",
    ),
    Indicator(
        _own("awc", "Available water capacity", "mm", "0.1 mm", 10, 3000, "Water between field capacity and wilting"
             " point, in the depth interval."),
        ("clay", "silt", "soc"), _available, (_TOTH,), "(EU-PTF 09 - EU-PTF 12) H (1 - CF/100)", optional=("cfvo",),
        per_depth=True, error=_available_error,
        error_text="RMSE 0.0734 cm3/cm3: those of both functions, taken as independent",
        limits=(_NO_STONES, "The errors of the two water contents are taken as independent; they are more likely alike,"
                " and the interval then too wide."),
    ),
    Indicator(
        _own("pd", "Packing density", "kg/dm3", "cg/cm3", 100, 3.6, "Bulk density with clay allowed for."),
        ("bdod", "clay"), lambda rows, _: derived.packing_density(rows["bdod"], rows["clay"]),
        ("Jones, R.J.A., Spoor, G. and Thomasson, A.J. (2003): Vulnerability of subsoils in Europe to compaction."
         " Soil & Tillage Research 73, 131-143. https://doi.org/10.1016/S0167-1987(03)00106-5",),
        "BD + 0.009 clay",
        classes=_bounded((1.40, 1.75), ("low", "medium", "high"), ("low", "medium", "high (compact)")),
        limits=(_STATE, "The limit of 1.40 is not compared with its source."),
    ),
    Indicator(
        _own("socclay", "Ratio of organic carbon to clay", "1", "0.001", 1000, 32, "Shares of mass."),
        ("soc", "clay"), lambda rows, _: derived.carbon_clay(rows["soc"], rows["clay"]),
        (_PROUT,), "SOC / clay", error_text="none: a definition",
        classes=_bounded(
            (1 / 13, 1 / 10, 1 / 8), ("degraded", "moderate", "good", "very-good"),
            ("degraded", "moderate", "good", "very good"),
        ),
        limits=("Limits from England and Wales; elsewhere the ratio judges by clay more than by structure.",),
    ),
    Indicator(
        _own("salinity", "Salinity class", "1", "1", 1, 5, "Class of the conductivity of the saturation extract."),
        ("ece",), None, ("Richards, L.A. (ed.) (1954): Diagnosis and improvement of saline and alkali soils. USDA"
                         " Agriculture Handbook 60.",),
        "limits 2, 4, 8, 16 dS/m", error_text="none: a definition",
        classes=Classes(
            ("none", "slight", "moderate", "strong", "very-strong"),
            ("non-saline", "slightly saline", "moderately saline", "strongly saline", "very strongly saline"),
            _salinity,
        ),
        limits=("Of a 1:5 extract the conductivity is several times lower: it cannot be given in its place.",),
    ),
    Indicator(
        _own("lime", "Lime requirement", "t/ha", "0.1 t/ha", 10, 100, "Ground limestone for 20 cm of arable topsoil."),
        ("phh2o", *_TEXTURE), _lime,
        ("AHDB: Nutrient Management Guide (RB209), section 1: factors for ground limestone on arable land.",),
        "(target - pH) factor; 6 on sands, 7 on light loams and silts, 8 on clay loams and clays",
        parameters=(Parameter("target", "pH to reach", "pH", 4, 8, 6.7),),
        limits=("For mineral arable topsoils, limestone of neutralising value 50 to 55; a plan, no prescription: it"
                " does not replace a measurement in the field.",),
    ),
    *EROSION,
    _texture_indicator("usda", "USDA", "Soil Survey Division Staff (1993): Soil Survey Manual. USDA Handbook 18."),
    _texture_indicator("fao", "FAO", "Verheye, W. and Ameryckx, J. (1984): Pédologie 34, 215-225."),
    _texture_indicator("hypres", "HYPRES", "Wösten, J.H.M. et al. (1999): Geoderma 90, 169-185."),
    _texture_indicator("ka5", "KA5", "Ad-hoc-AG Boden (2005): Bodenkundliche Kartieranleitung, 5th ed., Hannover."),
    _law(
        "carbon", "Soil Monitoring Law: carbon of mineral soils", ("soc", "clay"),
        Classes((*_MET[0], "organic"), (*_MET[1], "organic soil, judged by national targets"), _law_carbon),
        parameters=(Parameter("correction", "National correction factor of the ratio", "1", 0.05, 5, 1.0),),
    ),
    _law("salinity", "Soil Monitoring Law: salinity", ("ece",), Classes(*_MET, _law_salinity)),
    _law("compaction", "Soil Monitoring Law: subsoil density", ("bdod", *_TEXTURE), Classes(*_MET, _law_compaction)),
)  # fmt: skip
_BY_CODE = {each.code: each for each in _INDICATORS}

# Asked for, and not derived: what it is, and why.
NOT_MAPPED: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "respiration": (
            "Soil respiration",
            "It follows temperature, moisture and fresh litter from day to day; no model of what satellites see of"
            " bare soil supports a map of it.",
        ),
        "earthworms": (
            "Earthworms",
            "Abundance depends on tillage, season and dispersal, and samples are too few: no model holds in spatial"
            " validation.",
        ),
        "biodiversity": (
            "Soil biodiversity",
            "What is measured (DNA, biomass, counts) differs between surveys, and no model from satellite data alone"
            " is supported.",
        ),
        "sealing": (
            "Soil sealing",
            "It is a property of the surface, mapped from land cover (Copernicus imperviousness), not from samples.",
        ),
    }
)


def indicator(code: str) -> Indicator:
    """The indicator of this code.

    Raises:
        NotFound: when there is none; with the reason where it is known and not mapped.
    """
    if code in _BY_CODE:
        return _BY_CODE[code]
    if code in NOT_MAPPED:
        title, reason = NOT_MAPPED[code]
        raise NotFound(f"{title} is not mapped", reason)
    raise NotFound(f"no indicator {code!r}", f"there are {', '.join(indicator_codes())}")


def indicator_codes() -> tuple[str, ...]:
    """All codes in alphabetical order."""
    return tuple(sorted(_BY_CODE))

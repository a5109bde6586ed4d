"""Snapshots of WoSIS, the soil profiles of ISRIC: one layer (a text file, or a layer of a GeoPackage) per property.

Batjes, N. H., Calisto, L. and de Sousa, L. M. (2024): Providing quality-assessed and standardised soil data to
support global mapping and modelling (WoSIS snapshot 2023). Earth System Science Data 16, 4735.
https://doi.org/10.5194/essd-16-4735-2024 (snapshot 2019: https://doi.org/10.5194/essd-12-299-2020)

The snapshot of 2023 names the value ``value_avg`` and the layer ``layer_id``, those before it ``orgc_value_avg`` and
``profile_layer_id``, and the coordinates X and Y.
"""

import re
from collections import Counter
from collections.abc import Sequence

from odc.geo import CRS

from cup4soil.errors import InvalidSamples
from producers.sample_sources.joining import first_column, joined, needed_column
from producers.sample_sources.source import PropertyColumn, SampleSource, SourceLayout, checksums
from producers.tables import Table

# The code of WoSIS, ours, and the unit of WoSIS. Of each property with several methods the one that ours means.
_PROPERTIES = {
    "orgc": ("soc", "g/kg"),
    "totc": ("totc", "g/kg"),
    "tceq": ("caco3", "g/kg"),
    "nitkjd": ("nitrogen", "g/kg"),
    "phaq": ("phh2o", "pH"),
    "phca": ("phcacl2", "pH"),
    "phkc": ("phkcl", "pH"),
    "clay": ("clay", "%"),
    "silt": ("silt", "%"),
    "sand": ("sand", "%"),
    "bdfi33": ("bdod", "kg/dm3"),
    "bdfiad": ("bdod", "kg/dm3"),
    "bdfifm": ("bdod", "kg/dm3"),
    "bdfiod": ("bdod", "kg/dm3"),
    "cecph7": ("cec", "cmol(c)/kg"),
    "cfvo": ("cfvo", "vol %"),
    "elco50": ("ec", "dS/m"),
    "elcosp": ("ece", "dS/m"),
    "phpols": ("p", "mg/kg"),
    "phpmh3": ("p", "mg/kg"),
    "phpbyi": ("p", "mg/kg"),
    "phptot": ("ptot", "mg/kg"),
    "wv0010": ("wv0010", "vol %"),
    "wv0033": ("wv0033", "vol %"),
    "wv1500": ("wv1500", "vol %"),
}
_PROFILE, _LAYER = ("profile_id",), ("layer_id", "profile_layer_id")
_KEPT = ("profile_id", "layer_id", "profile_layer_id", "upper_depth", "lower_depth", "longitude", "latitude", "X", "Y",
         "value_avg", "licence", "positional_uncertainty")  # fmt: skip
_VALUE = re.compile(r"(?:([a-z0-9]+)_)?value_avg")
_NAME = re.compile(r"wosis_(?:latest|\d{4,6})_([a-z0-9]+)", re.IGNORECASE)
_COARSE_POSITIONS = ("1 km - 10 km", "Over 10 km")
_LICENCES = {"CC-BY": "CC-BY-4.0", "CC-BY-NC": "CC-BY-NC-4.0", "CC0": "CC0-1.0"}
_ATTRIBUTION = "WoSIS, ISRIC - World Soil Information, and the providers of its profiles"


def kept_columns() -> frozenset[str]:
    """Columns of WoSIS that are used: its tables are large."""
    return frozenset(_KEPT) | {f"{code}_{name}" for code in _PROPERTIES for name in ("value_avg", "licence")}


def is_wosis(columns: Sequence[str]) -> bool:
    """Whether the columns are those of a layer of WoSIS."""
    needed = {"profile_id", "upper_depth", "lower_depth"}
    return needed <= set(columns) and any(_VALUE.fullmatch(name) for name in columns)


def wosis_source(table: Table, joins: Sequence[Table]) -> SampleSource:
    """The property of the layer ``table``, and of the layers ``joins`` for the same soil layers.

    Raises:
        NotFound: when a column is missing.
        InvalidSamples: when a table is none of WoSIS, or of a property that is not mapped here.
    """
    keys = [needed_column(table, _PROFILE), needed_column(table, _LAYER)] if joins else []
    column, code, unit = _property(table)
    properties, files = {code: PropertyColumn(column=column, unit=unit)}, checksums([table, *joins])
    notes = _notes(table)
    for other in joins:
        name, code, unit = _property(other)
        if code in properties:
            raise InvalidSamples(f"{other.name} is of {code}, which is there already", "give one file per property")
        own_keys = [needed_column(other, _PROFILE), needed_column(other, _LAYER)]
        table, told = joined(table, keys, other, own_keys, {name: code})
        properties[code] = PropertyColumn(column=code, unit=unit)
        notes += told
    texture = tuple(properties[c].column for c in ("sand", "silt", "clay") if c in properties)
    layout = SourceLayout(
        x=needed_column(table, ("longitude", "X")), y=needed_column(table, ("latitude", "Y")), crs=CRS("EPSG:4326"),
        id=needed_column(table, _PROFILE), upper=needed_column(table, ("upper_depth",)),
        lower=needed_column(table, ("lower_depth",)), properties=properties,
        texture=(texture[0], texture[1], texture[2]) if len(texture) == 3 else None,
    )  # fmt: skip
    licence, told = _licence(table)
    return SampleSource(
        "wosis", "WoSIS", table, layout, files, licence=licence, attribution=_ATTRIBUTION, notes=(*notes, *told),
        unavailable=dict.fromkeys(
            sorted({known for known, _ in _PROPERTIES.values()} - set(properties)), "join the file of that property"
        ),
    )  # fmt: skip


def _property(table: Table) -> tuple[str, str, str]:
    """Column of the values, our code and the unit; WoSIS's own code is in the column's name or in the file's."""
    columns = [match for match in map(_VALUE.fullmatch, table.columns) if match]
    if not columns:
        raise InvalidSamples(f"{table.name} has no column value_avg", "give a layer of WoSIS with values")
    named = _NAME.search(table.name)
    code = (columns[0][1] or (named[1] if named else "")).lower()
    if code not in _PROPERTIES:
        raise InvalidSamples(
            f"{table.name} is of {code or 'an unnamed property'}, which is not mapped",
            f"keep the name of the file (wosis_202312_orgc.tsv) or name the layer; known are {', '.join(_PROPERTIES)}",
        )
    return columns[0][0], *_PROPERTIES[code]


def _notes(table: Table) -> list[str]:
    """How many places are known no better than to a kilometre: covariates of 20 m tell little about them."""
    column = first_column(table, ("positional_uncertainty",))
    if column is None:
        return []
    coarse = sum(cell in _COARSE_POSITIONS for cell in table.column(column))
    return [f"{coarse} rows have places known to no better than 1 km."] if coarse else []


def _licence(table: Table) -> tuple[str | None, list[str]]:
    """The strictest licence of the rows; None where the table does not tell, or tells one that is not known."""
    column = next((name for name in table.columns if name == "licence" or name.endswith("_licence")), None)
    if column is None:
        return None, [
            "The layer does not tell the licence of its rows; the snapshots are under CC BY 4.0 or CC BY-NC 4.0."
        ]
    counts = Counter(cell for cell in table.column(column) if cell)
    unknown = sorted(set(counts) - set(_LICENCES))
    if unknown or not counts:
        return None, [f"The rows carry licences that are not known: {', '.join(unknown) or 'none'}."]
    strictest = "CC-BY-NC" if "CC-BY-NC" in counts else "CC-BY" if "CC-BY" in counts else "CC0"
    told = ", ".join(f"{count} {name}" for name, count in counts.most_common())
    return _LICENCES[strictest], [f"Licences of the rows: {told}."]

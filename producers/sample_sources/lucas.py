"""The topsoil surveys of LUCAS (2009, 2015 and 2018), as the European Soil Data Centre hands them out.

The data may not be passed on: users bring their own copy. Columns and units after Orgiazzi et al. (2018), European
Journal of Soil Science 69, 140, https://doi.org/10.1111/ejss.12499, and the files' own headers. The survey of 2018
has neither texture nor coordinates of the sample itself: texture (``LUCAS_Text_All_...csv``) and bulk density
(``BulkDensity_2018_final-2.csv``) are joined by the point's number, coordinates are those of the grid point visited.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from odc.geo import CRS

from cup4soil.depths import Depth
from cup4soil.errors import InvalidSamples, NotFound
from cup4soil.products import Period
from producers.sample_sources.joining import first_column, joined, needed_column, with_columns
from producers.sample_sources.source import X_COLUMN, Y_COLUMN, PropertyColumn, SampleSource, SourceLayout, checksums
from producers.tables import Table

TOPSOIL = Depth(0, 20)
_IDS = ("POINTID", "POINT_ID", "Point_ID")
_LONGITUDES = ("TH_LONG", "GPS_LONG", "Long", X_COLUMN)
_LATITUDES = ("TH_LAT", "GPS_LAT", "Lat", Y_COLUMN)
_UPPER, _LOWER = "upper (cm)", "lower (cm)"
_DEPTH_TEXT = re.compile(r"(\d+)\s*-\s*(\d+)\s*cm", re.IGNORECASE)
_ATTRIBUTION = "LUCAS topsoil survey {year}, European Soil Data Centre (ESDAC), Joint Research Centre"
_TERMS = "The terms of LUCAS forbid to pass the samples on; state the licence under which the maps are to be given."
CLOSED = "the terms of LUCAS forbid to pass the samples on"
_THEORETICAL = "Coordinates are those of the LUCAS grid point; the sample may have been taken some metres away."


# Names of a column, its unit, and the limit of detection.
type _Where = tuple[tuple[str, ...], str, float | None]


@dataclass(frozen=True)
class _Survey:
    """One survey: by which column it is known, and where its properties stand."""

    year: int
    sign: str
    period: tuple[str, str]
    properties: Mapping[str, _Where]


_TEXTURE: dict[str, _Where] = {
    "clay": (("Clay",), "%", None),
    "silt": (("Silt",), "%", None),
    "sand": (("Sand",), "%", None),
}
# Limits of detection of phosphorus, nitrogen and potassium; those of the other properties are not known here.
_CHEMISTRY: dict[str, _Where] = {
    "soc": (("OC",), "g/kg", None),
    "caco3": (("CaCO3",), "g/kg", None),
    "nitrogen": (("N",), "g/kg", 0.2),
    "p": (("P",), "mg/kg", 10.0),
    "k": (("K",), "mg/kg", 10.0),
}
_CONDUCTIVITY: dict[str, _Where] = {"ec": (("EC",), "mS/m", None)}
SURVEYS = {
    "lucas-2018": _Survey(
        2018, "pH_CaCl2", ("2018-04-01", "2018-10-31"),
        {
            "phh2o": (("pH_H2O",), "pH", None),
            "phcacl2": (("pH_CaCl2",), "pH", None),
            **_CHEMISTRY, **_CONDUCTIVITY, **_TEXTURE,
            "alox": (("Ox_Al",), "g/kg", None),
            "feox": (("Ox_Fe",), "g/kg", None),
            "bdod": (("BD 0-20",), "g/cm3", None),
        },
    ),
    "lucas-2015": _Survey(
        2015, "pH(CaCl2)", ("2015-04-01", "2015-10-31"),
        {
            "phh2o": (("pH(H2O)",), "pH", None),
            "phcacl2": (("pH(CaCl2)",), "pH", None),
            **_CHEMISTRY, **_CONDUCTIVITY, **_TEXTURE,
        },
    ),
    "lucas-2009": _Survey(
        2009, "pH_in_CaCl2", ("2009-04-01", "2009-10-31"),
        {
            "phh2o": (("pH_in_H2O",), "pH", None),
            "phcacl2": (("pH_in_CaCl2",), "pH", None),
            **_CHEMISTRY, **_TEXTURE,
            "cec": (("CEC",), "cmol(c)/kg", None),
        },
    ),
}  # fmt: skip
_JOINABLE = ("clay", "silt", "sand", "bdod")


def is_lucas(columns: Sequence[str]) -> str | None:
    """Which survey the columns tell of; None when of none."""
    if not set(_IDS) & set(columns):
        return None
    return next((name for name, survey in SURVEYS.items() if survey.sign in columns), None)


def lucas_source(name: str, table: Table, joins: Sequence[Table]) -> SampleSource:
    """The survey ``name`` in ``table``; texture, bulk density and coordinates of the tables ``joins`` by point.

    Raises:
        NotFound: when a column is missing.
        InvalidSamples: when there are no coordinates, or a joined table has nothing to give.
    """
    survey = SURVEYS[name]
    point = needed_column(table, _IDS)
    files, notes = checksums([table, *joins]), [_TERMS]
    for other in joins:
        table, told = _with_columns_of(table, point, other, survey)
        notes += told
    x, y = first_column(table, _LONGITUDES), first_column(table, _LATITUDES)
    if x is None or y is None:
        raise InvalidSamples(
            f"{table.name} has no coordinates", "join the survey's shapefile or a table with TH_LONG and TH_LAT"
        )
    table, by_depth = _with_depths(table)
    found = {code: first_column(table, names) for code, (names, _, _) in survey.properties.items()}
    properties = {
        code: PropertyColumn(column=column, unit=survey.properties[code][1], detection_limit=survey.properties[code][2])
        for code, column in found.items()
        if column is not None
    }
    if x == "TH_LONG":
        notes.append(_THEORETICAL)
    texture = (found["sand"], found["silt"], found["clay"])
    layout = SourceLayout(
        x=x, y=y, crs=CRS("EPSG:4326"), id=point, depth=TOPSOIL, properties=properties,
        upper=_UPPER if by_depth else None, lower=_LOWER if by_depth else None,
        texture=None if None in texture else texture,
    )  # fmt: skip
    start, end = (datetime.fromisoformat(day).replace(tzinfo=UTC) for day in survey.period)
    return SampleSource(
        name, f"LUCAS topsoil {survey.year}", table, layout, files,
        attribution=_ATTRIBUTION.format(year=survey.year), period=Period(start=start, end=end), notes=tuple(notes),
        unavailable={code: "join the file that has it" for code in _JOINABLE if code not in properties}, closed=CLOSED,
    )  # fmt: skip


def _with_columns_of(table: Table, point: str, other: Table, survey: _Survey) -> tuple[Table, list[str]]:
    """Join what ``other`` has and ``table`` has not: texture, bulk density, coordinates."""
    wanted = [names for names, _, _ in (survey.properties[c] for c in _JOINABLE if c in survey.properties)]
    if first_column(table, _LONGITUDES) is None or first_column(table, _LATITUDES) is None:
        wanted += [_LONGITUDES, _LATITUDES]
    columns = [first_column(other, names) for names in wanted if first_column(table, names) is None]
    taken = {column: column for column in columns if column is not None}
    if not taken:
        raise InvalidSamples(
            f"{other.name} has nothing that {table.name} lacks: no texture, bulk density or coordinates",
            "leave it away",
        )
    try:
        key = needed_column(other, _IDS)
    except NotFound as error:
        raise InvalidSamples(f"{other.name} has no column of the points' numbers", "give one named POINTID") from error
    return joined(table, [point], other, [key], taken)


def _with_depths(table: Table) -> tuple[Table, bool]:
    """Upper and lower depth from the text of the column Depth, ``0-20 cm``; a text that is none gives blank cells."""
    column = first_column(table, ("Depth",))
    if column is None:
        return table, False
    matches = [_DEPTH_TEXT.fullmatch(cell) for cell in table.column(column)]
    upper = [match[1] if match else "" for match in matches]
    lower = [match[2] if match else "" for match in matches]
    return with_columns(replace(table), {_UPPER: upper, _LOWER: lower}), True

"""One door to all sources of samples."""

from collections.abc import Sequence
from pathlib import Path

from odc.geo import CRS

from cup4soil.errors import InvalidInput
from cup4soil.grids import parse_crs
from cup4soil.rasters.point_tables import point_layers
from producers.sample_sources.geotable import columns_of, read_any_table
from producers.sample_sources.lucas import CLOSED, SURVEYS, is_lucas, lucas_source
from producers.sample_sources.mapping import SampleMapping, read_mapping
from producers.sample_sources.source import X_COLUMN, Y_COLUMN, SampleSource, SourceLayout
from producers.sample_sources.wosis import is_wosis, kept_columns, wosis_source
from producers.tables import Table

FORMATS = ("auto", "table", "mapping", *SURVEYS, "wosis")


def sample_source(
    path: Path,
    format: str = "auto",  # noqa: A002
    *,
    mapping: Path | None = None,
    joins: Sequence[Path] = (),
    layer: str | None = None,
) -> SampleSource:
    """Open the samples at ``path``: a CSV or TSV file, a GeoPackage, a shapefile, GeoParquet or Parquet.

    ``format`` says what they are:

    - ``lucas-2018``, ``lucas-2015``, ``lucas-2009``: a LUCAS topsoil survey; ``joins`` are the tables of its texture,
      its bulk density and, of 2015, its coordinates (the shapefile beside the CSV file).
    - ``wosis``: the layer of one property of a WoSIS snapshot; ``joins`` are those of further properties, of the same
      soil layers. In a GeoPackage ``layer`` names the layer.
    - ``mapping``: whatever the file ``mapping`` says (:class:`producers.sample_sources.mapping.SampleMapping`).
    - ``table``: nothing is known but the CRS and the coordinates of a file of points; the columns are named by the
      user, as targets of :meth:`SampleSource.spec`.
    - ``auto``: ``mapping`` where one is given, else LUCAS or WoSIS where the columns are theirs, else ``table``.

    Then ``source.spec(("soc", "bdod"), depth=Depth(0, 30))`` says how to read it, and ``source.read(spec)`` gives the
    checked samples and the report of every row. ``source.files`` (name: checksum), ``source.licence``,
    ``source.attribution`` and ``source.period`` belong to the record of what is made from them.

    Raises:
        NotFound: when a file, layer or column is missing.
        InvalidInput: when the format is unknown, or does not go with mapping or joins.
        InvalidSamples: when a file is no table, or not of the format.
        LimitExceeded: when a file is too large.
    """
    if format not in FORMATS:
        raise InvalidInput(f"format {format!r} of samples is not known", f"use one of {', '.join(FORMATS)}")
    if mapping is not None and format not in ("auto", "mapping"):
        raise InvalidInput(f"a mapping does not go with the format {format!r}", "leave one of them away")
    if format == "mapping" and mapping is None:
        raise InvalidInput("the format mapping has no mapping", "give the path of a mapping file")
    if mapping is not None:
        _refuse_joins(joins, "a mapping")
        return _mapped(path, mapping, layer)
    keep = kept_columns() if format == "wosis" or (format == "auto" and is_wosis(columns_of(path))) else None
    table, crs = read_any_table(path, layer, keep)
    return _named(table, crs, format if format != "auto" else _recognised(table.columns), path, joins)


def _named(table: Table, crs: CRS | None, name: str, path: Path, joins: Sequence[Path]) -> SampleSource:
    if name in SURVEYS:
        return lucas_source(name, table, [read_any_table(join)[0] for join in joins])
    if name == "wosis":
        return wosis_source(table, [_wosis_table(path, join) for join in joins])
    _refuse_joins(joins, "a plain table")
    there = X_COLUMN in table.columns
    layout = SourceLayout(x=X_COLUMN if there else None, y=Y_COLUMN if there else None, crs=crs if there else None)
    return SampleSource("table", table.name, table, layout, {table.name: table.checksum}, closed=_closed(table))


def _recognised(columns: Sequence[str]) -> str:
    return is_lucas(columns) or ("wosis" if is_wosis(columns) else "table")


def _closed(table: Table) -> str | None:
    """LUCAS stays LUCAS, however it is read."""
    return CLOSED if is_lucas(table.columns) else None


def _wosis_table(path: Path, join: Path) -> Table:
    """A further property: a file, or the name of another layer of the same GeoPackage."""
    if not join.exists() and str(join) in point_layers(path):
        return read_any_table(path, str(join), kept_columns())[0]
    return read_any_table(join, None, kept_columns())[0]


def _refuse_joins(joins: Sequence[Path], what: str) -> None:
    if joins:
        raise InvalidInput(f"{what} takes no further tables", "join them beforehand, or leave them away")


def _mapped(path: Path, mapping: Path, layer: str | None) -> SampleSource:
    said, checksum = read_mapping(mapping)
    table, crs = read_any_table(path, layer or said.layer)
    stated = None if said.crs is None else parse_crs(said.crs)
    points = said.x is None and X_COLUMN in table.columns
    if points and crs is not None and stated is not None and stated != crs:
        raise InvalidInput(f"{path.name} is in {crs}, not in {stated}", f"leave crs away in {mapping.name}")
    for column in _columns(said):
        table.column(column)
    layout = SourceLayout(
        x=X_COLUMN if points else said.x, y=Y_COLUMN if points else said.y, crs=(stated or crs) if points else stated,
        id=said.id, upper=said.upper, lower=said.lower, depth=said.interval, to_cm=said.to_cm,
        properties=said.properties, texture=said.texture, missing=said.missing, below=said.below,
        below_detection=said.below_detection,
    )  # fmt: skip
    return SampleSource(
        "mapping", said.title or table.name, table, layout, {table.name: table.checksum, mapping.name: checksum},
        licence=said.licence, attribution=said.attribution, period=said.period, closed=_closed(table),
    )  # fmt: skip


def _columns(said: SampleMapping) -> list[str]:
    named = [said.x, said.y, said.id, said.upper, said.lower, *(said.texture or ())]
    return [name for name in named if name is not None] + [each.column for each in said.properties.values()]

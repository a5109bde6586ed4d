"""``cup4soil samples``: what a table of samples holds, and what would become of its rows."""

from pathlib import Path
from typing import Any

import click

from cup4soil.depths import Depth
from cup4soil.errors import InvalidInput
from cup4soil.grids import parse_crs
from cup4soil.properties import soil_property
from producers.sample_sources import SampleSource, sample_source
from producers.sample_sources.checking import description, result, write_rejected
from producers.sample_spec import TargetSpec
from service.commands.options import json_option
from service.commands.sample_options import sample_reading_options, sample_source_options
from service.console import show

_SHOWN_COLUMNS = 40


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@sample_source_options
@click.option("--property", "codes", multiple=True, metavar="CODE", help="Property to read; may be repeated.")
@click.option(
    "--column",
    "columns",
    multiple=True,
    metavar="CODE=COLUMN,UNIT",
    help='Where a property stands in a plain table, such as "soc=OC,%"; may be repeated.',
)
@click.option("--id", "id_column", help="Column that names the profile.")
@click.option("--upper", help="Column with the upper depth (cm).")
@click.option("--lower", help="Column with the lower depth (cm).")
@click.option("--x", help="Column with the easting or longitude.")
@click.option("--y", help="Column with the northing or latitude.")
@click.option("--crs", help="CRS of the coordinates, such as EPSG:3035.")
@click.option("--depth", help="Depth interval (cm), such as 0-20.")
@click.option("--by-horizon", is_flag=True, help="Take each horizon as a sample.")
@click.option("--minimum-coverage", type=float, help="Share of the depth interval to be sampled.")
@click.option("--texture-tolerance", type=float, help="How far from 100 % sand, silt and clay may sum to.")
@sample_reading_options
@click.option("--report", type=click.Path(path_type=Path), help="Write the rejected rows to this file (.csv or .json).")
@click.option("--rows", "shown", type=click.IntRange(0), default=20, show_default=True, help="Rejected rows to print.")
@json_option
def samples(
    file: Path,
    sample_format: str,
    mapping: Path | None,
    joins: tuple[Path, ...],
    layer: str | None,
    codes: tuple[str, ...],
    columns: tuple[str, ...],
    id_column: str | None,
    crs: str | None,
    depth: str | None,
    by_horizon: bool,
    report: Path | None,
    shown: int,
    as_json: bool,
    **stated: Any,
) -> None:
    """Read and check the samples in FILE without training anything: every rejected row is listed with its reason.

    Without --property and --column it is told what FILE holds.
    """
    source = sample_source(file, sample_format, mapping=mapping, joins=joins, layer=layer)
    about = description(source)
    if not codes and not columns:
        if report is not None:
            raise InvalidInput("there are no rejected rows before a property is read", "name it with --property")
        show(about if as_json else _about(source, about), as_json=as_json)
        return
    spec = source.spec(
        codes, targets=[_target(column) for column in columns], id=id_column, depths_as_rows=by_horizon,
        crs=parse_crs(crs) if crs else None, depth=Depth.parse(depth) if depth else None, **stated,
    )  # fmt: skip
    table, told = source.read(spec)
    found = result(table, told)
    if report is not None:
        write_rejected(told, report)
    show({"source": about, "result": found} if as_json else _outcome(about, found), as_json=as_json)
    if not as_json:
        _print_rejected(found["rejected"], shown, report)


def _target(text: str) -> TargetSpec:
    """``soc=OC,%``."""
    code, assigned, rest = text.partition("=")
    column, parted, unit = rest.rpartition(",")
    if not (assigned and parted and code.strip() and column.strip() and unit.strip()):
        raise InvalidInput(f"--column {text!r} is no column", 'give property=column,unit, such as "soc=OC,%"')
    return TargetSpec(column=column.strip(), property=soil_property(code.strip()), unit=unit.strip())


def _about(source: SampleSource, about: dict[str, Any]) -> dict[str, Any]:
    columns = source.table.columns
    more = "" if len(columns) <= _SHOWN_COLUMNS else f" and {len(columns) - _SHOWN_COLUMNS} more"
    properties = ", ".join(f"{code} in {where}" for code, where in about["properties"].items())
    return {
        "samples": about["title"],
        "format": about["format"],
        "rows": about["rows"],
        "columns": ", ".join(columns[:_SHOWN_COLUMNS]) + more,
        "properties": properties or "none that are known; name them with --column or a mapping file",
        "CRS": about["crs"],
        "licence": about["licence"],
        "attribution": about["attribution"],
        "notes": " ".join(about["notes"]) or None,
    }


def _outcome(about: dict[str, Any], found: dict[str, Any]) -> dict[str, Any]:
    lines = {
        code: f"{each['min']} to {each['max']} {each['unit']}, median {each['median']}"
        for code, each in found["figures"].items()
    }
    excluded = ", ".join(f"{count} {code}" for code, count in found["excluded"].items())
    used = (
        f"{found['samples']} of {found['profiles']} profiles, from {found['rows_used']} of {found['rows_in_file']} rows"
    )
    return {
        "source": f"{about['title']} ({about['format']})",
        "samples": used,
        "rows outside the interval": found["rows_outside_interval"] or None,
        "rejected rows": excluded or "none",
        **lines,
        "warning": " ".join(found["warnings"]) or None,
    }


def _print_rejected(rejected: list[dict[str, Any]], shown: int, report: Path | None) -> None:
    for each in rejected[:shown]:
        click.echo(f"row {each['row']}: {each['code']}: {each['message']}")
    left = len(rejected) - shown
    if left > 0:
        where = f"all are in {report}" if report else "--report FILE.csv writes all"
        click.echo(f"... and {left} more; {where}")

"""``cup4soil evaluate``: a map against relief, classes, its own borders, and samples."""

from pathlib import Path
from typing import Any

import click

from cup4soil.errors import InvalidInput
from cup4soil.settings import Settings
from cup4soil.staging import staged
from producers.landscape import evaluate_map
from producers.landscape_report import JSON_FILE, PAGE_FILE, evaluation_document, findings, write_evaluation
from producers.landscape_request import EvaluateRequest, OwnPoints
from producers.method_page import METHOD_DOCUMENT, method_page, read_report
from service.commands.options import json_option
from service.console import ConsoleProgress, show

_PATH = click.Path(path_type=Path)


@click.command()
@click.argument("map", type=_PATH)
@click.argument("out", type=_PATH)
@click.option("--terrain", "relief", multiple=True, type=_PATH, help="Folder or raster of relief; may be repeated.")
@click.option(
    "--classes", multiple=True, type=_PATH, help="Raster of classes, such as parent material or land use; repeatable."
)
@click.option("--samples", type=_PATH, help="Samples that the model has not seen, as a table.")
@click.option("--target", help="Column of the measured value in --samples.")
@click.option("--unit", help="Unit of --target.")
@click.option("--x", help="Column of x or longitude.")
@click.option("--y", help="Column of y or latitude.")
@click.option("--crs", help="CRS of x and y, such as EPSG:4326.")
@click.option("--id", help="Column that names the site, whose samples belong together.")
@click.option(
    "--tiles", "tile_m", multiple=True, type=float, metavar="METRES", help="Further tiles whose borders to look at."
)
@click.option("--report", type=_PATH, help="report.json of the map's model, for the method page.")
@click.option("--seed", type=int, default=0, show_default=True, help="Seed of everything drawn at random.")
@json_option
def evaluate(
    map: Path,  # noqa: A002
    out: Path,
    relief: tuple[Path, ...],
    classes: tuple[Path, ...],
    samples: Path | None,
    tile_m: tuple[float, ...],
    report: Path | None,
    seed: int,
    as_json: bool,
    **columns: Any,
) -> None:
    """Evaluate the soil map in the folder MAP.

    The folder OUT gets evaluation.json, evaluation.html and method.html, the map's method page with what was found.
    """
    request = EvaluateRequest(
        map=map, relief=relief, classes=classes, points=_points(samples, columns), tile_m=tile_m, seed=seed
    )
    about = None if report is None else read_report(report)
    with staged(out) as folder:
        evaluation = evaluate_map(request, Settings(), ConsoleProgress())
        write_evaluation(folder, evaluation)
        page = method_page(evaluation.record, about, evaluation_document(evaluation))
        (folder / METHOD_DOCUMENT.file).write_text(page, encoding="utf-8")
    found = {each.headline: each.text for each in findings(evaluation)}
    told = {"findings": found} if as_json else found
    show({"map": evaluation.record.id, "report": out / PAGE_FILE, "figures": out / JSON_FILE, **told}, as_json=as_json)


def _points(samples: Path | None, columns: dict[str, Any]) -> OwnPoints | None:
    given = {name: value for name, value in columns.items() if value is not None}
    if samples is None:
        if given:
            raise InvalidInput(f"--{min(given)} without --samples", "give the table of samples")
        return None
    missing = [name for name in ("target", "unit", "x", "y", "crs") if name not in given]
    if missing:
        raise InvalidInput(f"--samples without --{missing[0]}", "give --target, --unit, --x, --y and --crs")
    return OwnPoints(file=samples, **given)

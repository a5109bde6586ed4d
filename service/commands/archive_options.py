"""Options of commands that read a Sentinel-2 archive."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from cup4soil.methods.bare_tests import TESTS
from producers.land_cover import BUILT_IN, DEFAULT_LEGEND
from service.commands.options import bbox_option

type Decorator = Callable[[Callable[..., Any]], Callable[..., Any]]

method_option: Decorator = click.option(
    "--method", type=click.Choice(sorted(TESTS)), default="pvir2", show_default=True, help="Bare-soil test."
)
legend_option: Decorator = click.option(
    "--landcover-classes",
    "legend",
    default=DEFAULT_LEGEND,
    show_default=True,
    metavar="NAME|FILE",
    help=f"What the codes mean: {', '.join(BUILT_IN)}, or a JSON or CSV file of code and class.",
)
aoi_option: Decorator = click.option(
    "--aoi", type=click.Path(path_type=Path), help="Area as a GeoJSON file with polygons."
)
start_option: Decorator = click.option("--start", metavar="DATE", help="First day, as 2021-01-01.")
end_option: Decorator = click.option("--end", metavar="DATE", help="Last day.")
cloud_option: Decorator = click.option(
    "--max-cloud",
    "max_cloud_percent",
    type=click.FloatRange(0, 100),
    default=80.0,
    show_default=True,
    help="Leave out cloudier scenes (%).",
)
crs_option: Decorator = click.option(
    "--crs", default="auto", show_default=True, help="CRS of the result; auto is the scenes' own, else EPSG:3035."
)
offset_option: Decorator = click.option(
    "--boa-offset",
    "boa_offset_dn",
    type=float,
    help="Offset of the archive's numbers (-1000 or 0) where its metadata are silent or wrong.",
)
collection_option: Decorator = click.option(
    "--collection",
    "collections",
    multiple=True,
    default=("sentinel-2-l2a",),
    show_default=True,
    help="Collection to ask an API for.",
)
attribution_option: Decorator = click.option(
    "--attribution", multiple=True, help="Whom else to credit, such as the makers of the land cover."
)
broken_option: Decorator = click.option(
    "--max-broken",
    "max_broken_percent",
    type=click.FloatRange(0, 100),
    default=2.0,
    show_default=True,
    help="Scenes that may be unreadable (%): they are left out and named. With more the run fails.",
)
scheduler_option: Decorator = click.option(
    "--scheduler", metavar="ADDRESS", help="Dask scheduler to run on; by default processes of this machine."
)

_ARCHIVE = (
    bbox_option("Area as west south east north in degrees."),
    aoi_option,
    start_option,
    end_option,
    cloud_option,
    crs_option,
    offset_option,
    collection_option,
    attribution_option,
    broken_option,
    scheduler_option,
)


def archive_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """Which scenes of an archive, on which grid, and how carefully they are read.

    The command gets ``bbox``, ``aoi``, ``start``, ``end``, ``max_cloud_percent``, ``crs``, ``boa_offset_dn``,
    ``collections``, ``attribution``, ``max_broken_percent`` and ``scheduler``.
    """
    for option in reversed(_ARCHIVE):
        command = option(command)
    return command

"""What tasks on blocks share: the scenes over a block, and what is done about those that cannot be read."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future

from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from shapely.geometry import box
from shapely.geometry.base import BaseGeometry

from cup4soil.areas import project
from cup4soil.grids import crs_of
from cup4soil.rasters.scenes import UnreadableScene
from producers.scenes import Overpass

type Step = Callable[[], None]


class BrokenScenes(Exception):
    """Scenes that could not be read while a block was computed, and why."""

    def __init__(self, scenes: Mapping[str, str]) -> None:
        super().__init__(", ".join(scenes))
        self.scenes = dict(scenes)


def all_of(futures: Sequence[Future[None]]) -> None:
    """Wait for all; scenes that cannot be read are gathered, so that one new beginning leaves all of them out.

    Raises:
        BrokenScenes: when there are any.
    """
    broken = {}
    for future in futures:
        try:
            future.result()
        except UnreadableScene as error:
            broken[error.scene] = error.problem
        except BrokenScenes as error:
            broken |= error.scenes
    if broken:
        raise BrokenScenes(broken)


def leaving_out_broken[R](
    compute: Callable[[Mapping[str, str], Step | None], R], most_broken: int, step: Step | None
) -> tuple[R | None, dict[str, str]]:
    """The result of ``compute(broken, step)``, begun anew without each scene that cannot be read, and these scenes.

    The result is None when they are more than ``most_broken``.
    """
    broken: dict[str, str] = {}
    while True:
        try:
            return compute(broken, step), broken
        except BrokenScenes as found:
            broken |= found.scenes
            if len(broken) > most_broken:
                return None, broken
            step = None


def scenes_over(overpasses: Sequence[Overpass], geobox: GeoBox, without: Mapping[str, str]) -> Iterator[Overpass]:
    """The overpasses that touch ``geobox``, with the scenes that do and are not among ``without``."""
    block = box(*geobox.boundingbox.bbox)
    outlines: dict[CRS, BaseGeometry] = {}
    for overpass in overpasses:
        near = []
        for scene in overpass.scenes:
            crs = crs_of(scene.grid)
            if crs not in outlines:
                outlines[crs] = project(block, crs_of(geobox), crs)
            if scene.id not in without and outlines[crs].intersects(box(*scene.grid.boundingbox.bbox)):
                near.append(scene)
        if near:
            yield Overpass(overpass.time, tuple(near))

"""Bringing an index product up to date: what of an archive it lacks, and where that cannot be told exactly.

What an update gives is what a product made anew from all scenes would give, bit by bit, or it is refused.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
import shapely
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox
from shapely.geometry import box
from shapely.geometry.base import BaseGeometry

from cup4soil.areas import project
from cup4soil.errors import InvalidInput, NotFound
from cup4soil.grids import Window, crs_of
from cup4soil.methods.index_statistics import merge_counts, merge_range
from cup4soil.products import Algorithm, ProductRecord, Source, read_record
from cup4soil.rasters.layers import LayerReader
from cup4soil.rasters.reading import raster_info
from cup4soil.rasters.scenes import NATIVE_RESOLUTION_M
from producers.composite_layers import INDEX_LAYER, VPC_MONTHLY_LAYER
from producers.scenes import Overpass, Scene, Selection, group_overpasses

UNREAD = "unread"
_ANEW = "make the index anew, without --update"
# A period may grow; scenes that fall out of it are told by name.
_FREE = ("start", "end")
_TOLD = {
    "test": "bare-soil test",
    "index": "index",
    "max_cloud_percent": "limit of cloud cover",
    "max_sun_zenith_deg": "limit of sun zenith",
    "boa_offset_dn": "offset setting",
    "crs": "grid (CRS)",
    "shape": "grid (shape)",
    "transform": "grid (origin)",
    "licence": "licence",
    "area": "area",
}
# Farther apart than this, two granules give no cell of the grid in common, however they are warped.
_APART_M = 2 * NATIVE_RESOLUTION_M


@dataclass(frozen=True, slots=True)
class PreviousIndex:
    """An index product that is whole, and where it lies."""

    record: ProductRecord
    folder: Path

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The index product in ``folder``.

        Raises:
            NotFound: when there is none, or it lacks a layer or a file.
            InvalidInput: when it is another product.
        """
        record = read_record(folder)
        if record.kind != "index":
            raise InvalidInput(f"{folder} holds a product of the kind {record.kind}", "give an index product to update")
        for name in (INDEX_LAYER.name, VPC_MONTHLY_LAYER.name):
            layer = record.layer(name)
            if not (folder / layer.file).is_file():
                raise NotFound(f"{folder} has lost its file {layer.file}", _ANEW)
        return cls(record, folder)

    @property
    def scenes(self) -> dict[str, Source]:
        """The scenes it was made from, by their ids as sources."""
        return {source.id: source for source in self.record.sources if source.role == "scene"}

    def source(self) -> Source:
        """The product as a source."""
        record = self.record
        return Source(
            role="index",
            id=f"{record.collection}/{record.id}",
            title=record.title,
            version=record.algorithm.version,
            licence=record.licence,
            attribution="; ".join(record.attribution) or None,
        )


class PreviousBlocks:
    """Blocks of an earlier product, merged with those of further observations; a context manager."""

    def __init__(self, previous: PreviousIndex) -> None:
        record, folder = previous.record, previous.folder
        self._range = LayerReader(folder, record.layer(INDEX_LAYER.name))
        self._counts = LayerReader(folder, record.layer(VPC_MONTHLY_LAYER.name))
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.enter_context(self._range)
            stack.enter_context(self._counts)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *details: object) -> None:
        self._stack.close()

    def merged(self, block: Window, stored: Mapping[str, NDArray[np.int16]]) -> dict[str, NDArray[np.int16]]:
        """The layers of a block over the earlier and the further observations."""
        extremes, counts = stored[INDEX_LAYER.name], stored[VPC_MONTHLY_LAYER.name]
        return {
            INDEX_LAYER.name: merge_range(self._range.read(block), extremes, INDEX_LAYER.nodata),
            VPC_MONTHLY_LAYER.name: merge_counts(self._counts.read(block), counts, VPC_MONTHLY_LAYER.nodata),
        }


def overpasses_to_read(
    previous: PreviousIndex, algorithm: Algorithm, selection: Selection, geobox: GeoBox
) -> tuple[Overpass, ...]:
    """What of ``selection`` the earlier product was not made from.

    Raises:
        InvalidInput: when an update cannot be exact, with the reason.
    """
    _check_method(previous, algorithm)
    _check_grid(previous, geobox)
    _check_scenes(previous, selection)
    counted = previous.scenes
    old = [scene for scene in selection.scenes if scene.source().id in counted]
    groups = {scene.source().id: number for number, each in enumerate(group_overpasses(old)) for scene in each.scenes}
    found = []
    for overpass in selection.overpasses:
        fresh = tuple(scene for scene in overpass.scenes if scene.source().id not in counted)
        _check_pass(overpass, fresh, list(_parts(overpass, groups)), geobox)
        if fresh:
            found.append(Overpass(overpass.time, fresh))
    return tuple(found)


def _check_method(previous: PreviousIndex, algorithm: Algorithm) -> None:
    of, before = previous.record, previous.record.algorithm
    if UNREAD in before.parameters:
        unread = ", ".join(sorted(before.parameters[UNREAD]))
        raise InvalidInput(f"{of.id} lacks scenes that could not be read in all places: {unread}", _ANEW)
    if (before.name, before.version) != (algorithm.name, algorithm.version):
        raise InvalidInput(
            f"{of.id} was made by {before.name} {before.version}, not {algorithm.name} {algorithm.version}", _ANEW
        )
    now = algorithm.model_dump(mode="json")["parameters"]
    then = before.model_dump(mode="json")["parameters"]
    for name in sorted({*now, *then} - {*_FREE}):
        if now.get(name) != then.get(name):
            raise InvalidInput(
                f"{of.id} has another {_TOLD.get(name, name)}, {_short(then.get(name))} instead of "
                f"{_short(now.get(name))}",
                f"ask for the same, or {_ANEW}",
            )


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _check_grid(previous: PreviousIndex, geobox: GeoBox) -> None:
    """The files are what the record says."""
    for name in (INDEX_LAYER.name, VPC_MONTHLY_LAYER.name):
        path = previous.folder / previous.record.layer(name).file
        if raster_info(path).geobox != geobox:
            raise InvalidInput(f"{path} has another grid than its record", _ANEW)


def _check_scenes(previous: PreviousIndex, selection: Selection) -> None:
    """Every scene that was counted still counts, and is what it was."""
    present = {scene.source().id: scene for scene in selection.scenes}
    for name, source in previous.scenes.items():
        if name not in present:
            short = source.title or name
            why = selection.rejected.get(short)
            reason = f"is left out now, {why}" if why else "is no longer in the archive"
            raise InvalidInput(f"scene {short} of {previous.record.id} {reason}", _ANEW)
        now = present[name].source()
        same_platform = now.properties["platform"] == source.properties.get("platform")
        if now.identity() != source.identity() or not same_platform:
            raise InvalidInput(
                f"scene {now.title} has changed since {previous.record.id}: its time, offset, sun, baseline or licence",
                _ANEW,
            )


def _parts(overpass: Overpass, groups: Mapping[str, int]) -> Iterator[tuple[Scene, ...]]:
    """The scenes of an overpass that were counted, by the overpasses that they then made up."""
    parts: dict[int, list[Scene]] = {}
    for scene in overpass.scenes:
        number = groups.get(scene.source().id)
        if number is not None:
            parts.setdefault(number, []).append(scene)
    yield from (tuple(part) for part in parts.values())


def _check_pass(
    overpass: Overpass, fresh: tuple[Scene, ...], counted: Sequence[tuple[Scene, ...]], geobox: GeoBox
) -> None:
    """What was counted in parts is what counts as one where the parts share no cell, and no month is another."""
    parts = [*counted, fresh] if fresh else list(counted)
    if not counted or len(parts) < 2:
        return
    names = f"scene {fresh[0].id} belongs" if fresh else f"scenes {counted[0][0].id} and {counted[1][0].id} belong"
    for part in counted:
        if part[0].time.month != overpass.time.month:
            raise InvalidInput(f"{names} to an overpass that was counted in another month", _ANEW)
    covered = [_cover(part, geobox) for part in parts]
    for number, one in enumerate(covered):
        for other in covered[:number]:
            if one.distance(other) <= _APART_M:
                raise InvalidInput(
                    f"{names} to an overpass that is counted already ({overpass.time:%Y-%m-%d %H:%M}), and overlaps it",
                    _ANEW,
                )


def _cover(scenes: Sequence[Scene], geobox: GeoBox) -> BaseGeometry:
    """What of the grid the scenes may give."""
    crs = crs_of(geobox)
    outlines = [project(box(*scene.grid.boundingbox.bbox), crs_of(scene.grid), crs) for scene in scenes]
    around = box(*geobox.boundingbox.bbox).buffer(_APART_M)
    return shapely.intersection(shapely.union_all(outlines), around)

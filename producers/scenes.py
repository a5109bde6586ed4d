"""From STAC items to scenes that can be read: bands, offsets, sun, overpasses."""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from affine import Affine
from odc.geo.geobox import GeoBox
from shapely.errors import ShapelyError
from shapely.geometry import shape
from shapely.geometry.base import BaseGeometry

from cup4soil.errors import InvalidInput, InvalidRaster, NotFound
from cup4soil.grids import Window, blocks, cell_offset, crs_code, crs_of, parse_crs
from cup4soil.methods.bare_soil import BANDS, MAX_SUN_ZENITH_DEG
from cup4soil.products import Source
from cup4soil.rasters.scenes import BandFile, SceneFiles, scene_grid
from producers.archive import ArchiveItem, is_remote
from producers.offsets import Scaling, local_safe_metadata, processing_baseline, safe_offsets, scaling_of

# Names the bands go by as assets or as eo:common_name, where these tell them apart.
_ALIASES = {
    "B02": {"b02", "b2", "blue"},
    "B03": {"b03", "b3", "green"},
    "B04": {"b04", "b4", "red"},
    "B05": {"b05", "b5", "rededge1", "rededge071"},
    "B06": {"b06", "b6", "rededge2", "rededge075"},
    "B07": {"b07", "b7", "rededge3", "rededge078"},
    "B08": {"b08", "b8", "nir"},
    "B8A": {"b8a", "nir08"},
    "B11": {"b11", "swir16"},
    "B12": {"b12", "swir22"},
    "SCL": {"scl"},
}
_SUFFIX = re.compile(r"[-_](?:(\d+)m|jp2)$")
_SAME_OVERPASS = timedelta(minutes=20)
_COPERNICUS = "Copernicus-Sentinel"
# What is not stated is left for the reader to find out.
_READABLE_RESOLUTIONS_M = (None, 10, 20)


@dataclass(frozen=True, slots=True)
class Scene:
    """One Sentinel-2 granule with all that a composite has to know of it."""

    id: str
    collection: str
    time: datetime
    platform: str
    tile: str
    datatake: str | None
    baseline: float | None
    cloud_cover: float | None
    sun_zenith_deg: float | None
    geometry: BaseGeometry
    files: SceneFiles
    grid: GeoBox
    scalings: Mapping[str, Scaling]
    href: str | None
    licence: str
    simulated: bool

    def source(self) -> Source:
        """The scene as a source of a product; its checksum covers what was read of the item."""
        offsets = {band: scaling.offset_dn for band, scaling in self.scalings.items()}
        facts = {
            "time": self.time.isoformat(),
            "offsets": offsets,
            "zenith": self.sun_zenith_deg,
            "gain": self.scalings["B02"].gain,
        }
        digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()
        uniform = set(offsets.values())
        return Source(
            role="scene",
            id=f"{self.collection}/{self.id}",
            title=self.id,
            href=self.href,
            version=None if self.baseline is None else f"{self.baseline:05.2f}",
            checksum=f"sha256:{digest}",
            licence=self.licence,
            properties={
                "datetime": self.time.isoformat(),
                "platform": self.platform,
                "cloud_cover_percent": self.cloud_cover,
                "sun_zenith_deg": self.sun_zenith_deg,
                "boa_offset_dn": uniform.pop() if len(uniform) == 1 else offsets,
                "boa_offset_from": self.scalings["B02"].origin,
            },
        )


@dataclass(frozen=True, slots=True)
class Overpass:
    """Granules that one satellite saw in one pass: the ground under them counts once."""

    time: datetime
    scenes: tuple[Scene, ...]


@dataclass(frozen=True, slots=True)
class Rejection:
    """Why a scene is left out: a reason that many may share, and what is particular to this one."""

    reason: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}" if self.detail else self.reason


@dataclass(frozen=True, slots=True)
class Selection:
    """Overpasses in the order of time, and why the other scenes were left out; ``unreadable`` are those that should
    have been used.
    """

    overpasses: tuple[Overpass, ...]
    rejected: Mapping[str, Rejection]
    unreadable: tuple[str, ...]
    without_sun_angle: int
    without_cloud_cover: int

    def lies_on(self, geobox: GeoBox) -> bool:
        """Whether no scene has to be warped onto ``geobox``."""
        return all(cell_offset(scene.grid, geobox) is not None for scene in self.scenes)

    def blocks(self, geobox: GeoBox, edge: int) -> tuple[Window, ...]:
        """``geobox`` in blocks, cut where the first scene's tiles are cut."""
        first = cell_offset(self.scenes[0].grid, geobox) or (0, 0)
        return tuple(blocks((geobox.shape[0], geobox.shape[1]), edge, first))

    @property
    def scenes(self) -> tuple[Scene, ...]:
        """All scenes that are used."""
        return tuple(scene for overpass in self.overpasses for scene in overpass.scenes)


@dataclass(frozen=True, slots=True)
class SceneFilter:
    """Which scenes of an archive are wanted."""

    area: BaseGeometry | None = None
    start: datetime | None = None
    end: datetime | None = None
    max_cloud_percent: float = 80.0
    boa_offset_dn: float | None = None


def select_scenes(items: Iterable[ArchiveItem], wanted: SceneFilter, most_unreadable: int = 0) -> Selection:
    """Resolve the items that fit ``wanted``, drop older baselines and group the rest by overpass.

    Raises:
        NotFound: when more than ``most_unreadable`` scenes lack a band or a file.
        MissingOffset: when nothing tells a scene's radiometric offset.
    """
    rejected: dict[str, Rejection] = {}
    scenes: list[Scene] = []
    unreadable: list[str] = []
    for entry in sorted(items, key=lambda e: e.item.id):
        with _named(entry):
            reason = _unwanted(entry, wanted)
            if reason:
                rejected[entry.item.id] = reason
                continue
            try:
                scenes.append(resolve_scene(entry, wanted.boa_offset_dn))
            except (NotFound, InvalidRaster) as error:
                unreadable.append(entry.item.id)
                if len(unreadable) > most_unreadable:
                    raise
                rejected[entry.item.id] = Rejection("cannot be read", error.problem)
    scenes = _newest_baselines(scenes, rejected)
    return Selection(
        group_overpasses(scenes),
        rejected,
        tuple(unreadable),
        without_sun_angle=sum(scene.sun_zenith_deg is None for scene in scenes),
        without_cloud_cover=sum(scene.cloud_cover is None for scene in scenes),
    )


@contextmanager
def _named(entry: ArchiveItem) -> Iterator[None]:
    """Items are written by others: whatever in one cannot be read is told with its id."""
    try:
        yield
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError, ShapelyError) as error:
        reason = f"{type(error).__name__}: {error}"
        raise InvalidInput(f"scene {entry.item.id} is no usable item ({reason})", "mend it or leave it out") from error


def resolve_scene(entry: ArchiveItem, boa_offset_dn: float | None = None) -> Scene:
    """The scene behind an item; see :func:`select_scenes` for the errors."""
    item = entry.item
    assets = {key: asset.to_dict() for key, asset in item.assets.items()}
    names = {band: _find_asset(band, assets, item.id) for band in (*BANDS, "SCL")}
    metadata = local_safe_metadata(assets, entry.folder)
    safe = safe_offsets(metadata) if metadata else None
    scalings = {band: scaling_of(band, assets[names[band]], item.properties, safe, boa_offset_dn) for band in BANDS}
    bands = {
        band: BandFile(_readable(assets[names[band]], entry), s.gain, s.offset_dn, _nodata(assets[names[band]]))
        for band, s in scalings.items()
    }
    files = SceneFiles(item.id, bands, _readable(assets[names["SCL"]], entry))
    href = item.get_self_href()
    grid = _grid(item.properties, assets[names["SCL"]]) or scene_grid(files)
    return Scene(
        id=item.id,
        collection=item.collection_id or "scenes",
        time=_time(entry),
        platform=str(item.properties.get("platform", "sentinel-2")).casefold(),
        tile=_tile(item.properties, grid, item.id),
        datatake=_datatake(item.properties),
        baseline=processing_baseline(item.properties),
        cloud_cover=_number(item.properties, "eo:cloud_cover"),
        sun_zenith_deg=_sun_zenith(item.properties),
        geometry=shape(item.geometry),
        files=files,
        grid=grid,
        scalings=scalings,
        href=href,
        licence=_licence(entry.licence),
        simulated=bool(item.properties.get("cup4soil:simulated", False)),
    )


def _unwanted(entry: ArchiveItem, wanted: SceneFilter) -> Rejection | None:
    item = entry.item
    if item.geometry is None:
        return Rejection("no geometry")
    time = _time(entry)
    # The last second of a period is its own to the end, as it is of a window.
    if (wanted.start and time < wanted.start) or (wanted.end and time.replace(microsecond=0) > wanted.end):
        return Rejection("outside the period")
    if wanted.area is not None and not shape(item.geometry).intersects(wanted.area):
        return Rejection("outside the area")
    cloud = _number(item.properties, "eo:cloud_cover")
    if cloud is not None and cloud > wanted.max_cloud_percent:
        return Rejection("too cloudy", f"{cloud:.1f} % above {wanted.max_cloud_percent:g} %")
    zenith = _sun_zenith(item.properties)
    if zenith is not None and zenith > MAX_SUN_ZENITH_DEG:
        return Rejection("sun too low", f"zenith {zenith:.1f} degrees above {MAX_SUN_ZENITH_DEG:g}")
    return None


def _newest_baselines(scenes: list[Scene], rejected: dict[str, Rejection]) -> list[Scene]:
    """Of the same tile seen in the same pass, only the newest processing baseline."""
    newest: dict[tuple[object, ...], list[Scene]] = {}
    for scene in sorted(scenes, key=lambda s: (s.baseline or 0.0, s.id)):
        key = (scene.datatake or (scene.platform, scene.time.replace(microsecond=0)), scene.tile)
        kept = newest.setdefault(key, [])
        if kept and (kept[0].baseline or 0.0) < (scene.baseline or 0.0):
            why = Rejection("older processing baseline", f"of the datatake of {scene.id}")
            rejected.update((older.id, why) for older in kept)
            kept.clear()
        kept.append(scene)
    return [scene for kept in newest.values() for scene in kept]


def group_overpasses(scenes: Sequence[Scene]) -> tuple[Overpass, ...]:
    """Granules of one satellite within minutes of the one before, in the order of time."""
    groups: list[list[Scene]] = []
    for scene in sorted(scenes, key=lambda s: (s.platform, s.time, s.id)):
        last = groups[-1][-1] if groups else None
        if last is not None and last.platform == scene.platform and scene.time - last.time <= _SAME_OVERPASS:
            groups[-1].append(scene)
        else:
            groups.append([scene])
    return tuple(
        sorted((Overpass(group[0].time, tuple(group)) for group in groups), key=lambda o: (o.time, o.scenes[0].id))
    )


def _find_asset(band: str, assets: Mapping[str, Mapping[str, Any]], scene: str) -> str:
    """Name of the asset that holds ``band``: by its own name first, then by its band's name or common name."""
    readable = {key: asset for key, asset in assets.items() if _resolution(key, asset) in _READABLE_RESOLUTIONS_M}
    for fields in ((), ("name",), ("eo:common_name", "common_name")):
        found = [key for key, asset in readable.items() if _names(key, asset, fields) & _ALIASES[band]]
        if found:
            return min(found, key=lambda key: _preference(key, assets[key]))
    raise NotFound(f"scene {scene} has no asset for band {band}", f"its assets are {', '.join(sorted(assets))}")


def _names(key: str, asset: Mapping[str, Any], fields: tuple[str, ...]) -> set[str]:
    """What an asset is called: by ``fields`` of its only band, or by its key where none are given."""
    if not fields:
        return {_SUFFIX.sub("", key.lower())}
    bands = asset.get("bands") or asset.get("eo:bands") or []
    return {str(bands[0].get(field, "")).lower() for field in fields} if len(bands) == 1 else set()


def _preference(key: str, asset: Mapping[str, Any]) -> tuple[bool, int, str]:
    """GeoTIFF before JPEG 2000, fine before coarse."""
    return str(asset.get("type", "")).endswith("jp2"), _resolution(key, asset) or 0, key


def _resolution(key: str, asset: Mapping[str, Any]) -> int | None:
    suffix = _SUFFIX.search(key.lower())
    if suffix and suffix[1]:
        return int(suffix[1])
    transform = asset.get("proj:transform")
    stated = (
        abs(transform[0])
        if transform
        else asset.get("gsd") or (asset.get("raster:bands") or [{}])[0].get("spatial_resolution")
    )
    return round(stated) if stated else None


def _nodata(asset: Mapping[str, Any]) -> float:
    """Sentinel-2 L2A has 0 for no data unless the asset says otherwise."""
    stated = asset.get("nodata", (asset.get("raster:bands") or [{}])[0].get("nodata", 0))
    return float(stated if stated is not None else 0)


def _readable(asset: Mapping[str, Any], entry: ArchiveItem) -> str:
    """What GDAL opens for an asset. Only files beside local items, and http(s) or s3 addresses, are ever opened."""
    href = str(asset["href"])
    if is_remote(href):
        return f"/vsicurl/{href}"
    if href.startswith("s3://"):
        return f"/vsis3/{href.removeprefix('s3://')}"
    if entry.folder is None or "://" in href:
        raise InvalidInput(
            f"scene {entry.item.id} points to {href!r}",
            "assets have to be http(s) or s3 addresses, or files beside a local catalog",
        )
    path = entry.folder / href
    if not path.is_file():
        raise NotFound(f"scene {entry.item.id} lacks its file {path}", "fetch it, or leave the scene out")
    return str(path)


def _grid(properties: Mapping[str, Any], asset: Mapping[str, Any]) -> GeoBox | None:
    code = asset.get("proj:code") or properties.get("proj:code")
    epsg = asset.get("proj:epsg") or properties.get("proj:epsg")
    transform, size = asset.get("proj:transform"), asset.get("proj:shape")
    if not (code or epsg) or not transform or not size:
        return None
    return GeoBox((int(size[0]), int(size[1])), Affine(*transform[:6]), parse_crs(code or f"EPSG:{epsg}"))


def _time(entry: ArchiveItem) -> datetime:
    time = entry.item.datetime or entry.item.common_metadata.start_datetime
    if time is None:
        raise InvalidInput(f"scene {entry.item.id} has no time", "items need a datetime")
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def _tile(properties: Mapping[str, Any], grid: GeoBox, scene: str) -> str:
    """Name of the scene's tile, as stated or in its id; where nothing names it, its corner does."""
    found = re.search(r"_T?(\d{2}[A-Z]{3})_", scene)
    left, _, _, top = grid.boundingbox.bbox
    return str(
        properties.get("grid:code")
        or properties.get("s2:mgrs_tile")
        or (found[1] if found else f"{crs_code(crs_of(grid))}-{left:.0f}-{top:.0f}")
    )


def _datatake(properties: Mapping[str, Any]) -> str | None:
    """Datatake without its baseline, which comes last in the id: ``GS2B_20220413T150759_026649``."""
    value = properties.get("s2:datatake_id")
    return re.sub(r"_N\d\d\.\d\d$", "", str(value)) if value else None


def _sun_zenith(properties: Mapping[str, Any]) -> float | None:
    elevation = _number(properties, "view:sun_elevation")
    return _number(properties, "s2:mean_solar_zenith") if elevation is None else 90.0 - elevation


def _number(properties: Mapping[str, Any], key: str) -> float | None:
    value = properties.get(key)
    return float(value) if isinstance(value, int | float) else None


def _licence(stated: str | None) -> str:
    """Sentinel data are free with a notice; archives call that "proprietary" or "other"."""
    return _COPERNICUS if stated is None or stated.lower() in ("proprietary", "other", "various") else stated

"""Regional thresholds of the bare-soil index: HISET from index products and land cover, brought to a surface."""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from numpy.typing import NDArray
from odc.geo.crs import CRS
from odc.geo.geobox import GeoBox
from pydantic import BaseModel, ConfigDict, Field
from shapely.geometry import box, mapping, shape
from shapely.geometry.base import BaseGeometry

from cup4soil.areas import MAX_AREA_BYTES, WGS84, parse_area, project
from cup4soil.errors import InvalidArea, InvalidInput, NoData, NotFound
from cup4soil.grids import EUROPEAN_CRS, Bounds, aligned_geobox, blocks, crs_of, parse_metric_crs
from cup4soil.licences import derived_licence
from cup4soil.methods.thresholds import RegionHistograms, kernel_width, smooth_surface
from cup4soil.products import Algorithm, ProductRecord, Source, file_checksum, product_id, read_record
from cup4soil.progress import Progress
from cup4soil.rasters.encoding import encode
from cup4soil.rasters.masks import cells_inside
from cup4soil.rasters.reading import raster_info, read_on_grid
from cup4soil.rasters.writing import LayerWriter
from cup4soil.settings import Settings
from producers.composite_surfaces import read_land_cover
from producers.jobs import write_document
from producers.land_cover import DEFAULT_LEGEND, Legend, read_legend
from producers.threshold_record import (
    COLLECTION,
    LAYERS,
    LINEAGE,
    REGIONS,
    RegionFindings,
    threshold_algorithm,
    threshold_lineage,
    threshold_record,
)

INDEX_LAYER, MINIMUM, MAXIMUM = "INDEX", "IMIN", "IMAX"
TILES_FILE, TILE_NAME = "tiles.geojson", "tile"
RESOLUTION_M = 5000.0
_NAME_PROPERTIES = (TILE_NAME, "name", "id")
_BLOCK = 512
# A region is cut to the surroundings of a product (degrees) before it is projected: far parts may have no place there.
_SURROUNDINGS_DEG = 1.0
_NAMED_REGIONS = 5


class ThresholdRequest(BaseModel):
    """Folders of index (or composite) products, land cover with its legend, and the regions.

    ``legend`` is the name of a built-in legend or a file. Without ``regions``, a GeoJSON file, the regions are the
    Sentinel-2 tiles of the products. ``resolution_m`` is that of the surface.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    index: tuple[Path, ...] = Field(min_length=1)
    land_cover: Path
    legend: str | Path = DEFAULT_LEGEND
    regions: Path | None = None
    crs: str = "auto"
    resolution_m: float = RESOLUTION_M
    attribution: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class IndexProduct:
    """A product with the extremes of the index: its record, the raster, and the places of both bands in it."""

    record: ProductRecord
    folder: Path
    raster: Path
    geobox: GeoBox
    bands: tuple[int, int]

    @property
    def footprint(self) -> BaseGeometry:
        """Where it is, in WGS 84."""
        return shape(self.record.extent.geometry)


@dataclass(frozen=True, slots=True)
class Region:
    """A region that gets a threshold of its own; ``area`` is in WGS 84."""

    name: str
    area: BaseGeometry


@dataclass(frozen=True)
class ThresholdJob:
    """A planned threshold surface; see :func:`plan_thresholds`."""

    request: ThresholdRequest
    products: tuple[IndexProduct, ...]
    regions: tuple[Region, ...]
    legend: Legend
    geobox: GeoBox
    sources: tuple[Source, ...]
    licence: str

    collection = COLLECTION

    @cached_property
    def algorithm(self) -> Algorithm:
        """The method with all parameters that decide the result."""
        regions = "tiles" if self.request.regions is None else file_checksum(self.request.regions)
        index = self.products[0].record.algorithm.parameters.get("index")
        return threshold_algorithm(index, self.legend, regions, self.geobox, self.licence)

    @cached_property
    def id(self) -> str:
        """Identity of the product."""
        return product_id("thresholds", self.algorithm, self.sources)

    def run(self, folder: Path, progress: Progress) -> ProductRecord:
        """Write the surfaces of thresholds and scores into ``folder``.

        Raises:
            NoData: when no region gives a usable threshold.
            InvalidRaster: when the land cover holds a code that its legend lacks.
        """
        histograms = self._histograms(progress)
        found = tuple(
            RegionFindings(region.name, region.area, self._centre(region), each.t_min(), each.t_max())
            for region, each in zip(self.regions, histograms, strict=True)
        )
        if not any(region.t_min.used for region in found):
            raise NoData(*_why_none(found))
        layers = {name: LayerWriter(folder, layer, self.geobox) for name, layer in LAYERS.items()}
        with layers["THRESHOLDS"] as thresholds, layers["SCORES"] as scores:
            for window in blocks((self.geobox.shape[0], self.geobox.shape[1]), _BLOCK):
                values = _surfaces(found, window.of(self.geobox))
                thresholds.write(window, encode(values[:2], thresholds.layer))
                scores.write(window, encode(values[2:], scores.layer))
        widths = {name: kernel_width([r.centre for r in found if r.of(name).used]) for name in ("T_MIN", "T_MAX")}
        lineage = threshold_lineage(self.algorithm, self.sources, found, widths)
        write_document(folder / LINEAGE.file, lineage)
        write_document(folder / REGIONS.file, _feature_collection(found))
        records = tuple(product.record for product in self.products)
        written = tuple(writer.layer for writer in layers.values())
        return threshold_record(
            self.id, self.algorithm, self.sources, records, found, self.geobox, written, self.licence,
            self.request.attribution,
        )  # fmt: skip

    def _histograms(self, progress: Progress) -> list[RegionHistograms]:
        histograms = [RegionHistograms() for _ in self.regions]
        windows = [(each, list(blocks((each.geobox.shape[0], each.geobox.shape[1]), _BLOCK))) for each in self.products]
        with progress.step("Counting index values by region", sum(len(each) for _, each in windows)) as advance:
            for product, each in windows:
                areas = _projected(self.regions, product)
                for window in each:
                    self._count(product, window.of(product.geobox), areas, histograms)
                    advance()
        return histograms

    def _count(
        self,
        product: IndexProduct,
        geobox: GeoBox,
        areas: Mapping[int, BaseGeometry],
        histograms: list[RegionHistograms],
    ) -> None:
        block = box(*geobox.boundingbox.bbox)
        near = {number: area for number, area in areas.items() if area.intersects(block)}
        if not near:
            return
        index = read_on_grid(product.raster, geobox, categorical=True)
        minimum, maximum = index[product.bands[0]], index[product.bands[1]]
        if np.isnan(minimum).all():
            return
        cover = _pure_land_cover(self.request.land_cover, geobox, self.legend)
        for number, area in near.items():
            if area.contains(block):
                histograms[number].add(minimum, maximum, cover)
            else:
                inside = cells_inside(area, geobox)
                histograms[number].add(minimum[inside], maximum[inside], cover[inside])

    def _centre(self, region: Region) -> tuple[float, float]:
        """Centre of the part of the region that the products cover, in the surface's CRS."""
        covered = shapely.intersection(region.area, shapely.union_all([each.footprint for each in self.products]))
        centre = project(covered, WGS84, crs_of(self.geobox)).centroid
        return centre.x, centre.y


def plan_thresholds(request: ThresholdRequest, settings: Settings) -> ThresholdJob:
    """Open the index products, the legend and the regions; no index value is read yet.

    Raises:
        NotFound: when a product, a raster, a legend or the regions are missing.
        InvalidInput: when an argument cannot be used, or the products do not go together.
        InvalidArea: when the regions are none.
        NoData: when no region touches a product.
        LimitExceeded: when the surface's grid is too large.
        LicenceConflict: when the sources' licences cannot be combined.
    """
    products = tuple(open_index(folder) for folder in request.index)
    _check_together(products)
    legend = read_legend(request.legend)
    raster_info(request.land_cover)
    regions = tile_regions(products) if request.regions is None else read_regions(request.regions)
    covered = shapely.union_all([product.footprint for product in products])
    # What only touches has no cell.
    near = tuple(region for region in regions if shapely.intersection(region.area, covered).area > 0)
    if not near:
        raise NoData(f"none of {len(regions)} regions touches an index product", "give regions of the same place")
    geobox = _surface_grid(request, products, settings.max_cells)
    sources = (*(_index_source(product.record) for product in products), _land_cover_source(request.land_cover))
    licence = derived_licence([source.licence for source in sources], settings.data_policy)
    return ThresholdJob(request, products, near, legend, geobox, sources, licence)


def open_index(folder: Path) -> IndexProduct:
    """The product in ``folder``.

    Raises:
        NotFound: when there is none, or it has no layer of the index's extremes.
        InvalidInput: when it is no index product or composite.
    """
    record = read_record(folder)
    if record.kind not in ("index", "composite"):
        raise InvalidInput(f"{folder} holds a product of the kind {record.kind}", "give index products or composites")
    layer = record.layer(INDEX_LAYER)
    names = [band.name for band in layer.bands]
    if not {MINIMUM, MAXIMUM} <= set(names):
        raise InvalidInput(f"{INDEX_LAYER} of {folder} lacks {MINIMUM} or {MAXIMUM}", "make the index product again")
    raster = folder / layer.file
    bands = (names.index(MINIMUM), names.index(MAXIMUM))
    return IndexProduct(record, folder, raster, raster_info(raster).geobox, bands)


def tile_regions(products: Iterable[IndexProduct]) -> tuple[Region, ...]:
    """The Sentinel-2 tiles of the products; a tile that several have is one region.

    Raises:
        NotFound: when a product does not say which tiles it was made from.
    """
    areas: dict[str, list[BaseGeometry]] = {}
    for product in products:
        if TILES_FILE not in product.record.files:
            raise NotFound(f"{product.folder} has no {TILES_FILE}", "give the regions with --regions")
        for region in read_regions(product.folder / TILES_FILE):
            areas.setdefault(region.name, []).append(region.area)
    return tuple(Region(name, shapely.union_all(found)) for name, found in sorted(areas.items()))


def read_regions(path: Path) -> tuple[Region, ...]:
    """The features of a GeoJSON file as regions, named by their property ``tile``, ``name`` or ``id``.

    Raises:
        NotFound: when there is no such file.
        InvalidArea: when a feature has no name, one that another has, or no usable polygon.
    """
    document = _read_json(path)
    features = document.get("features") if isinstance(document, Mapping) else None
    if not isinstance(features, list) or not features:
        raise InvalidArea(f"{path} is no FeatureCollection with features", "give one polygon for each region")
    shared = {"crs": document["crs"]} if "crs" in document else {}
    regions: dict[str, Region] = {}
    for number, feature in enumerate(features, 1):
        name = _region_name(path, number, feature)
        if name in regions:
            raise InvalidArea(f"{path} has two regions named {name!r}", "give each region a name of its own")
        area, crs = parse_area({**feature, **shared}, name=f"{path}, region {name}")
        regions[name] = Region(name, project(area, crs, WGS84))
    return tuple(regions.values())


def _read_json(path: Path) -> Any:
    if not path.is_file():
        raise NotFound(f"no file of regions {path}", "give a GeoJSON file with polygons")
    if path.stat().st_size > MAX_AREA_BYTES:
        raise InvalidArea(f"{path} is larger than {MAX_AREA_BYTES} bytes", "simplify the regions")
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, RecursionError, ValueError) as error:
        raise InvalidArea(f"{path} is no GeoJSON: {error}", "give a GeoJSON file with polygons") from error


def _region_name(path: Path, number: int, feature: object) -> str:
    properties = feature.get("properties") if isinstance(feature, Mapping) else None
    values = [properties.get(name) for name in _NAME_PROPERTIES] if isinstance(properties, Mapping) else []
    name = next((str(v) for v in values if isinstance(v, str | int) and not isinstance(v, bool) and str(v).strip()), "")
    if not name:
        raise InvalidArea(f"feature {number} of {path} has no name", f"give it one of {', '.join(_NAME_PROPERTIES)}")
    return name


def _check_together(products: tuple[IndexProduct, ...]) -> None:
    ids = [product.record.id for product in products]
    if len(set(ids)) < len(ids):
        raise InvalidInput("an index product is given twice", "give each once")
    indices = {str(product.record.algorithm.parameters.get("index")) for product in products}
    if len(indices) > 1:
        raise InvalidInput(
            f"the products hold different indices, {' and '.join(sorted(indices))}", "give products of one index"
        )


def _surface_grid(request: ThresholdRequest, products: tuple[IndexProduct, ...], max_cells: int) -> GeoBox:
    systems: set[CRS] = {crs_of(product.geobox) for product in products}
    common = systems.pop() if len(systems) == 1 else EUROPEAN_CRS
    crs = common if request.crs == "auto" else parse_metric_crs(request.crs)
    outlines = [project(box(*p.geobox.boundingbox.bbox), crs_of(p.geobox), crs) for p in products]
    return aligned_geobox(Bounds(*shapely.total_bounds(outlines)), crs, request.resolution_m, max_cells=max_cells)


def _index_source(record: ProductRecord) -> Source:
    return Source(
        role="composite" if record.kind == "composite" else "index",
        id=record.id,
        title=record.title,
        version=record.algorithm.version,
        licence=record.licence,
        attribution="; ".join(record.attribution) or None,
    )


def _land_cover_source(path: Path) -> Source:
    return Source(role="land-cover", id=path.name, title="Land cover", checksum=file_checksum(path))


def _projected(regions: tuple[Region, ...], product: IndexProduct) -> dict[int, BaseGeometry]:
    """The regions that touch the product by their number, in its CRS, ready for many questions."""
    surroundings = product.footprint.envelope.buffer(_SURROUNDINGS_DEG)
    found = {}
    for number, region in enumerate(regions):
        if region.area.intersects(product.footprint):
            found[number] = project(region.area.intersection(surroundings), WGS84, crs_of(product.geobox))
            shapely.prepare(found[number])
    return found


def _pure_land_cover(path: Path, geobox: GeoBox, legend: Legend) -> NDArray[np.floating]:
    """WorldCover codes of the cells that are of one class in all four quarters, NaN elsewhere.

    A mixed cell is a sample of neither class; and where land cover is twice as fine, no quarter is nearer than another.
    """
    rows, cols = geobox.shape
    quarters = read_land_cover(path, geobox.zoom_to((2 * rows, 2 * cols)), legend).reshape(rows, 2, cols, 2)
    first = quarters[:, 0, :, 0]
    pure: NDArray[np.floating] = np.where(
        (quarters == first[:, np.newaxis, :, np.newaxis]).all(axis=(1, 3)), first, np.nan
    )
    return pure


def _surfaces(found: tuple[RegionFindings, ...], geobox: GeoBox) -> NDArray[np.float64]:
    """T_MIN, T_MAX, S_MIN, S_MAX on ``geobox``, (4, rows, columns); NaN where no region has that threshold."""
    rows, cols = geobox.shape
    surfaces = np.full((4, rows, cols), np.nan)
    affine = geobox.affine
    x = affine.c + (np.arange(cols) + 0.5) * affine.a
    y = affine.f + (np.arange(rows) + 0.5) * affine.e
    for place, name in enumerate(("T_MIN", "T_MAX")):
        used = [(region.centre, region.of(name)) for region in found if region.of(name).used]
        if not used:
            continue
        centres, weights = [centre for centre, _ in used], [each.weight for _, each in used]
        for band, values in ((place, [e.value for _, e in used]), (place + 2, [e.score for _, e in used])):
            surfaces[band] = smooth_surface(x, y, centres, [v for v in values if v is not None], weights)
    return surfaces


def _feature_collection(found: tuple[RegionFindings, ...]) -> dict[str, Any]:
    return {"type": "FeatureCollection", "features": list(_features(found))}


def _features(found: tuple[RegionFindings, ...]) -> Iterator[dict[str, Any]]:
    for region in found:
        rounded = shapely.transform(region.area, lambda xy: xy.round(7))
        yield {"type": "Feature", "properties": region.properties(), "geometry": mapping(rounded)}


def _why_none(found: tuple[RegionFindings, ...]) -> tuple[str, str]:
    told = [f"{region.name}: {region.t_min.reason}" for region in found[:_NAMED_REGIONS]]
    more = f"; and {len(found) - len(told)} more" if len(found) > len(told) else ""
    return (
        f"none of {len(found)} regions gives a usable threshold ({'; '.join(told)}{more})",
        "check the land cover and its legend, or give the threshold as a number such as 0.2065",
    )


def region_scores(surface: Path, area: BaseGeometry) -> dict[str, float] | None:
    """Scores of the regions whose thresholds made a surface, as far as they touch an area in WGS 84: the worst of each.

    None where the surface is no product of :class:`ThresholdJob`.
    """
    regions = surface.parent / REGIONS.file
    if surface.name not in {layer.file for layer in LAYERS.values()} or not regions.is_file():
        return None
    worst: dict[str, float] = {}
    for feature in _read_json(regions)["features"]:
        told = feature["properties"]
        if shape(feature["geometry"]).intersects(area):
            for name in ("t_min", "t_max"):
                if told[f"{name}_used"]:
                    worst[name] = max(worst.get(name, 0.0), told[f"{name}_score"])
    return worst or None

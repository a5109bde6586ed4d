"""Threshold surfaces from index products: against the definition, on real data, and what goes wrong."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import rasterio
from odc.geo.geobox import GeoBox
from rasterio.warp import transform
from shapely.geometry import box, mapping, shape

from cup4soil.areas import WGS84, footprint, project
from cup4soil.errors import InvalidArea, InvalidInput, InvalidRaster, LimitExceeded, NoData, NotFound
from cup4soil.grids import Bounds, Window, aligned_geobox, parse_crs
from cup4soil.methods.bare_soil import BANDS, pvir2
from cup4soil.methods.thresholds import kernel_width
from cup4soil.products import Algorithm, Band, Document, Extent, Layer, Period, ProductRecord, product_id, read_record
from cup4soil.progress import Silent
from cup4soil.rasters.scenes import read_overpass
from cup4soil.rasters.writing import LayerWriter
from cup4soil.settings import Settings
from processors.coverage_catalog import CoverageCatalog
from processors.coverage_grid import Limits
from processors.coverage_query import parse_query
from processors.coverage_reader import CoverageReader
from producers import thresholds
from producers.archive import ArchiveQuery, archive_items
from producers.composite_surfaces import read_threshold
from producers.jobs import deliver
from producers.scenes import SceneFilter, select_scenes
from producers.thresholds import ThresholdRequest, plan_thresholds
from service.cli import run
from stac_catalog.store import Store
from stac_catalog.validation import validate_catalog
from tests.core.test_thresholds import by_definition

CRS = "EPSG:3035"
LEFT, BOTTOM = 4_000_000.0, 3_000_000.0
CROPLAND, GRASSLAND, FOREST, BUILT_UP, WATER = 40, 30, 10, 50, 80
NODATA = -32768
INDEX = Layer(
    name="INDEX", title="Extremes", description="Extremes of PVIR2.", file="INDEX.tif", nodata=NODATA, scale=1e-4,
    bands=(Band(name="IMIN"), Band(name="IMAX")),
)  # fmt: skip
COUNTS = Layer(
    name="VPC-MONTHLY", title="Counts", description="Valid observations by month.", file="VPC-MONTHLY.tif",
    nodata=-10000, bands=tuple(Band(name=f"VPC_{month:02d}") for month in range(1, 13)),
)  # fmt: skip
TILES = Document(name="tiles", title="Tiles", file="tiles.geojson", media_type="application/geo+json")


def part(left_cell, cells, rows=60, crs=CRS):
    """Bounds of ``cells`` columns from ``left_cell`` and of all rows, in metres of the index grid."""
    left = LEFT + left_cell * 20
    return Bounds(left, BOTTOM, left + cells * 20, BOTTOM + rows * 20), parse_crs(crs)


def features(named, key="tile"):
    """A FeatureCollection in WGS 84 of boxes (bounds, CRS) by name."""
    found = [
        {"type": "Feature", "properties": {key: name}, "geometry": footprint(bounds, crs)}
        for name, (bounds, crs) in named.items()
    ]
    return {"type": "FeatureCollection", "features": found}


def index_product(
    folder: Path, extremes, geobox: GeoBox, tiles, *, kind="index", index="pvir2", simulated=False
) -> Path:
    """A product of index extremes as the engine writes it; ``extremes`` are (2, rows, columns), NaN where unseen."""
    folder.mkdir(parents=True)
    stored = np.where(np.isnan(extremes), NODATA, np.rint(extremes * 1e4)).astype(np.int16)
    layers = []
    for layer, values in ((INDEX, stored), (COUNTS, np.full((12, *geobox.shape), 3, np.int16))):
        with LayerWriter(folder, layer, geobox) as writer:
            writer.write(Window(0, 0, *geobox.shape), values)
        layers.append(writer.layer)
    if tiles is not None:
        (folder / TILES.file).write_text(json.dumps(tiles))
    algorithm = Algorithm(
        name="scmap-index", version="1.0", title="Extremes of the index", description="Minimum and maximum.",
        parameters={"index": index, "folder": folder.name, "transform": list(geobox.affine)[:6]},
    )  # fmt: skip
    ProductRecord(
        id=product_id("index", algorithm, ()),
        collection="bare-soil-index" if kind == "index" else "bare-soil-composites",
        kind=kind,
        title="Extremes of the bare-soil index",
        abstract="Extremes of the index.",
        period=Period(start=datetime(2019, 1, 1, tzinfo=UTC), end=datetime(2021, 12, 31, tzinfo=UTC)),
        extent=Extent.of_grid(geobox),
        algorithm=algorithm,
        sources=(),
        licence="CC-BY-NC-SA-4.0",
        attribution=("Contains modified Copernicus Sentinel data 2019-2021",),
        simulated=simulated,
        layers=tuple(layers),
        documents=() if tiles is None else (TILES,),
    ).write(folder)
    return folder


def cover_raster(path: Path, codes, geobox: GeoBox) -> Path:
    rows, cols = codes.shape
    profile = {"driver": "GTiff", "count": 1, "height": rows, "width": cols, "dtype": codes.dtype}
    with rasterio.open(path, "w", **profile, crs=str(geobox.crs), transform=geobox.affine) as dataset:
        dataset.write(codes, 1)
    return path


class World:
    """120 x 60 cells in two tiles that overlap by 20 columns; the soil of the eastern one is 0.15 higher."""

    def __init__(self, folder: Path) -> None:
        rng = np.random.default_rng(7)
        self.folder = folder
        self.geobox = aligned_geobox(Bounds(LEFT, BOTTOM, LEFT + 2400, BOTTOM + 1200), parse_crs(CRS), 20)
        self.codes = rng.choice([CROPLAND, GRASSLAND, FOREST, BUILT_UP, WATER], (60, 120)).astype(np.uint8)
        low = {CROPLAND: 0.05, GRASSLAND: 0.5, FOREST: 0.9, BUILT_UP: 0.0, WATER: -0.8}
        high = {CROPLAND: 1.4, GRASSLAND: 1.5, FOREST: 1.6, BUILT_UP: 0.3, WATER: -0.4}
        means = np.array([np.vectorize(each.get)(self.codes) for each in (low, high)])
        east = 0.15 * (np.arange(120) >= 60)
        self.extremes = np.round(means + east + rng.normal(0, 0.15, (2, 60, 120)), 4)
        self.extremes[:, rng.random((60, 120)) < 0.05] = np.nan
        self.tiles = {"31UES": part(0, 70), "31UFS": part(50, 70)}
        self.columns = {"31UES": slice(0, 70), "31UFS": slice(50, 120)}
        self.index = index_product(folder / "index", self.extremes, self.geobox, features(self.tiles))
        self.cover = cover_raster(folder / "cover.tif", self.codes, self.geobox)

    def request(self, **more) -> ThresholdRequest:
        return ThresholdRequest(**({"index": (self.index,), "land_cover": self.cover, "resolution_m": 200} | more))

    def samples(self, columns, band, code):
        """Known index values of a class in these columns, in whole ten-thousandths."""
        chosen = self.extremes[band][:, columns][self.codes[:, columns] == code]
        return np.rint(chosen[~np.isnan(chosen)] * 1e4).astype(int)


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    return World(tmp_path_factory.mktemp("world"))


def made(job, folder):
    folder.mkdir()
    record = job.run(folder, Silent())
    record.write(folder)
    return record


def regions_of(folder):
    document = json.loads((folder / "regions.geojson").read_text())
    return {feature["properties"]["name"]: feature for feature in document["features"]}


def bands(path):
    with rasterio.open(path) as dataset:
        return np.where(dataset.read() == NODATA, np.nan, dataset.read() * 1e-4), dataset.descriptions


@pytest.fixture(scope="module")
def result(world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("result") / "out"
    return folder, made(plan_thresholds(world.request(), Settings()), folder)


class TestRegions:
    def test_every_tile_has_the_threshold_of_the_definition(self, world, result):
        found = regions_of(result[0])
        assert set(found) == {"31UES", "31UFS"}
        for name, columns in world.columns.items():
            about = found[name]["properties"]
            for key, band, low, high in (("t_min", 0, CROPLAND, GRASSLAND), ("t_max", 1, BUILT_UP, CROPLAND)):
                # A cell in the overlap counts in both tiles.
                classes = [world.samples(columns, band, code) for code in (low, high)]
                threshold, score = by_definition(*classes)
                assert about[key] == pytest.approx(threshold, abs=1e-9)
                assert about[f"{key}_score"] == pytest.approx(score, abs=1e-6)
                assert about[f"{key}_cells"] == [each.size for each in classes]
                assert about[f"{key}_used"]
                assert about[f"{key}_rejected_because"] is None
        assert found["31UFS"]["properties"]["t_min"] > found["31UES"]["properties"]["t_min"] + 0.05

    def test_they_are_outlined_in_wgs84(self, world, result):
        for name, (bounds, crs) in world.tiles.items():
            outline = shape(regions_of(result[0])[name]["geometry"])
            assert outline.symmetric_difference(shape(footprint(bounds, crs))).area < 1e-9

    def test_blocks_leave_no_trace(self, world, result, tmp_path, monkeypatch):
        monkeypatch.setattr(thresholds, "_BLOCK", 17)
        record = made(plan_thresholds(world.request(), Settings()), tmp_path / "out")
        assert record.id == result[1].id
        for name in ("THRESHOLDS.tif", "SCORES.tif"):
            assert (bands(tmp_path / "out" / name)[0] == bands(result[0] / name)[0]).all()
        assert regions_of(tmp_path / "out") == regions_of(result[0])

    def test_several_products_add_up(self, world, tmp_path):
        halves = []
        for name, columns in (("west", slice(0, 60)), ("east", slice(60, 120))):
            geobox = world.geobox[0:60, columns]
            halves.append(index_product(tmp_path / name, world.extremes[:, :, columns], geobox, features(world.tiles)))
        made(plan_thresholds(world.request(index=tuple(halves)), Settings()), tmp_path / "out")
        whole = made(plan_thresholds(world.request(), Settings()), tmp_path / "whole")
        found, expected = regions_of(tmp_path / "out"), regions_of(tmp_path / "whole")
        for name in world.tiles:
            assert found[name]["properties"] == expected[name]["properties"]
        assert whole.layer("THRESHOLDS").statistics is not None

    def test_a_poor_region_is_rejected_and_the_other_counts(self, world, tmp_path):
        extremes = world.extremes.copy()
        rng = np.random.default_rng(1)
        extremes[0, :, 70:] = rng.normal(0.3, 0.3, (60, 50)) - 0.15 * (world.codes[:, 70:] == CROPLAND)
        extremes[0, :, 50:70] = np.nan
        index = index_product(tmp_path / "index", extremes, world.geobox, features(world.tiles))
        record = made(plan_thresholds(world.request(index=(index,)), Settings()), tmp_path / "out")
        found = regions_of(tmp_path / "out")
        assert "poor separation" in found["31UFS"]["properties"]["t_min_rejected_because"]
        assert found["31UFS"]["properties"]["t_min_score"] > 0.25
        surface, _ = bands(tmp_path / "out" / "THRESHOLDS.tif")
        assert surface[0] == pytest.approx(found["31UES"]["properties"]["t_min"], abs=5e-5)
        measures = {(m.name, m.support): m.value for m in record.quality}
        assert measures["regions used", "T_MIN, 2 regions"] == 1
        assert measures["regions rejected", "T_MIN, 2 regions"] == 1
        assert any("1 regions gave no usable threshold" in note for note in record.limitations)

    def test_without_built_up_land_t_max_is_empty_and_said_so(self, world, tmp_path):
        codes = np.where(world.codes == BUILT_UP, WATER, world.codes).astype(np.uint8)
        cover = cover_raster(tmp_path / "cover.tif", codes, world.geobox)
        record = made(plan_thresholds(world.request(land_cover=cover), Settings()), tmp_path / "out")
        for name in ("THRESHOLDS.tif", "SCORES.tif"):
            surface, _ = bands(tmp_path / "out" / name)
            assert np.isfinite(surface[0]).all()
            assert np.isnan(surface[1]).all()
        assert any("T_MAX and S_MAX are empty" in note for note in record.limitations)
        assert not any(m.name == "worst score" and "T_MAX" in m.support for m in record.quality)
        assert "0 cells of built-up" in regions_of(tmp_path / "out")["31UES"]["properties"]["t_max_rejected_because"]

    def test_forest_stands_in_for_grassland(self, world, tmp_path):
        codes = np.where(world.codes == GRASSLAND, 20, world.codes).astype(np.uint8)
        cover = cover_raster(tmp_path / "cover.tif", codes, world.geobox)
        record = made(plan_thresholds(world.request(land_cover=cover), Settings()), tmp_path / "out")
        assert regions_of(tmp_path / "out")["31UES"]["properties"]["t_min_classes"] == ["cropland", "forest"]
        assert any("compared with forest" in note for note in record.limitations)

    def test_no_usable_region_is_told_with_scores_and_what_to_do(self, world, tmp_path):
        index = index_product(
            tmp_path / "index",
            np.random.default_rng(2).normal(0.3, 0.3, (2, 60, 120)) - 0.15 * (world.codes == CROPLAND),
            world.geobox,
            features(world.tiles),
        )
        with pytest.raises(NoData, match=r"none of 2 regions.*31UES: poor separation: score 0\.\d+.*number"):
            made(plan_thresholds(world.request(index=(index,)), Settings()), tmp_path / "out")


def test_mixed_cells_belong_to_no_class(world, tmp_path):
    fine = world.codes.repeat(2, axis=0).repeat(2, axis=1)
    fine[1::2, ::8] = 0
    geobox = aligned_geobox(Bounds(LEFT, BOTTOM, LEFT + 2400, BOTTOM + 1200), parse_crs(CRS), 10)
    cover = cover_raster(tmp_path / "cover.tif", fine, geobox)
    made(plan_thresholds(world.request(land_cover=cover), Settings()), tmp_path / "out")
    kept = (np.arange(120) % 4 != 0) & (np.arange(120) < 70)
    expected = [world.samples(kept, 0, code).size for code in (CROPLAND, GRASSLAND)]
    assert regions_of(tmp_path / "out")["31UES"]["properties"]["t_min_cells"] == expected


class TestSurface:
    def test_is_the_formula_over_the_regions_centres(self, world, result):
        surface, names = bands(result[0] / "THRESHOLDS.tif")
        scores, score_names = bands(result[0] / "SCORES.tif")
        assert (names, score_names) == (("T_MIN", "T_MAX"), ("S_MIN", "S_MAX"))
        found = [regions_of(result[0])[name]["properties"] for name in world.tiles]
        centres = [(LEFT + 700, BOTTOM + 600), (LEFT + 1700, BOTTOM + 600)]
        assert kernel_width(centres) == 500
        for row, col in ((0, 0), (3, 6), (5, 11)):
            x, y = LEFT + 200 * (col + 0.5), BOTTOM + 1200 - 200 * (row + 0.5)
            for band, key in enumerate(("t_min", "t_max")):
                near = [
                    each[f"{key}_weight"] / (1 + ((x - cx) ** 2 + (y - cy) ** 2) / 500**2) ** 2
                    for each, (cx, cy) in zip(found, centres, strict=True)
                ]
                for values, what in ((surface, key), (scores, f"{key}_score")):
                    expected = sum(n * each[what] for n, each in zip(near, found, strict=True)) / sum(near)
                    assert values[band, row, col] == pytest.approx(expected, abs=6e-5)

    def test_covers_the_products_and_is_what_a_composite_reads(self, world, result):
        threshold = read_threshold(result[0] / "THRESHOLDS.tif", world.geobox)
        assert np.isfinite(threshold).all()
        found = [each["properties"]["t_min"] for each in regions_of(result[0]).values()]
        assert min(found) - 1e-4 <= threshold.min() < threshold.max() <= max(found) + 1e-4
        assert threshold[:, -1].mean() > threshold[:, 0].mean() + 0.05

    def test_record(self, world, result):
        folder, record = result
        assert read_record(folder) == record
        assert (record.kind, record.collection) == ("thresholds", "bare-soil-thresholds")
        assert record.extent.shape == (6, 12)
        assert [(s.role, s.id) for s in record.sources] == [
            ("index", read_record(world.index).id),
            ("land-cover", "cover.tif"),
        ]
        assert record.licence == "CC-BY-NC-SA-4.0"
        assert record.attribution == ("Contains modified Copernicus Sentinel data 2019-2021",)
        measures = {(m.name, m.support.split(",")[0]): m.value for m in record.quality}
        found = [each["properties"]["t_min_score"] for each in regions_of(folder).values()]
        assert measures["regions used", "T_MIN"] == 2
        assert measures["worst score", "T_MIN"] == pytest.approx(max(found), abs=1e-6)
        assert measures["median score", "T_MIN"] == pytest.approx(sum(found) / 2, abs=1e-6)
        lineage = json.loads((folder / "lineage.json").read_text())
        assert lineage["kernel_width_m"]["T_MIN"] == pytest.approx(500, abs=1)
        assert str(folder) not in (folder / "lineage.json").read_text()

    def test_one_cell_for_a_small_place_by_default(self, world, tmp_path):
        record = made(plan_thresholds(world.request(resolution_m=5000), Settings()), tmp_path / "out")
        assert record.extent.shape == (1, 1)
        assert np.isfinite(read_threshold(tmp_path / "out" / "THRESHOLDS.tif", world.geobox)).all()

    def test_products_of_two_zones_give_a_european_surface(self, world, tmp_path):
        east = aligned_geobox(Bounds(300_000, 5_500_000, 302_400, 5_501_200), parse_crs("EPSG:32633"), 20)
        tile = (Bounds(300_000, 5_500_000, 302_400, 5_501_200), parse_crs("EPSG:32633"))
        index = index_product(tmp_path / "index", world.extremes, east, features({"33UUR": tile}))
        codes = (
            np.where(np.arange(240)[:, np.newaxis] % 4 < 2, CROPLAND, GRASSLAND).astype(np.uint8).repeat(400, axis=1)
        )
        centre = transform("EPSG:32633", CRS, [301_200], [5_500_600])
        place = Bounds(centre[0][0] - 4000, centre[1][0] - 2400, centre[0][0] + 4000, centre[1][0] + 2400)
        cover = cover_raster(tmp_path / "cover.tif", codes, aligned_geobox(place, parse_crs(CRS), 20))
        both = world.request(index=(world.index, index), land_cover=world.cover, resolution_m=50_000)
        job = plan_thresholds(both, Settings())
        assert str(job.geobox.crs) == CRS
        assert {region.name for region in job.regions} == {"31UES", "31UFS", "33UUR"}
        alone = plan_thresholds(world.request(index=(index,), land_cover=cover), Settings())
        assert str(alone.geobox.crs) == "EPSG:32633"
        with pytest.raises(NoData, match="33UUR"):
            made(alone, tmp_path / "out")


class TestIdentity:
    def test_a_rerun_finds_its_own_result(self, world, tmp_path):
        first, second = (plan_thresholds(world.request(), Settings()) for _ in range(2))
        assert deliver(first, tmp_path / "out", None, Silent()).made
        assert not deliver(second, tmp_path / "out", None, Silent()).made

    def test_what_decides_the_result_decides_the_id(self, world, tmp_path):
        legend = tmp_path / "legend.json"
        legend.write_text(
            json.dumps({"40": "cropland", "30": "grassland", "10": "other", "50": "built-up", "80": "water"})
        )
        regions = tmp_path / "regions.geojson"
        regions.write_text(json.dumps(features({"all": part(0, 120)}, key="name")))
        cover = cover_raster(tmp_path / "cover.tif", world.codes[::-1], world.geobox)
        requests = [
            world.request(),
            world.request(legend=legend),
            world.request(regions=regions),
            world.request(resolution_m=100),
            world.request(crs="EPSG:32631"),
            world.request(land_cover=cover),
        ]
        assert len({plan_thresholds(each, Settings()).id for each in requests}) == len(requests)
        renamed = tmp_path / "another.json"
        renamed.write_bytes(legend.read_bytes())
        one, other = (plan_thresholds(world.request(legend=each), Settings()).id for each in (legend, renamed))
        assert one == other


class TestOwnRegions:
    def write(self, path, document):
        path.write_text(json.dumps(document))
        return path

    @pytest.mark.parametrize("key", ["tile", "name", "id"])
    def test_are_named_by_their_properties(self, world, tmp_path, key):
        regions = self.write(tmp_path / "r.geojson", features({"west": part(0, 60), "east": part(60, 60)}, key))
        made(plan_thresholds(world.request(regions=regions), Settings()), tmp_path / "out")
        found = regions_of(tmp_path / "out")
        assert found["west"]["properties"]["t_min_cells"][0] == world.samples(slice(0, 60), 0, CROPLAND).size
        assert set(found) == {"west", "east"}

    def test_may_be_in_another_crs_and_reach_far(self, world, tmp_path):
        bounds = part(0, 60)[0]
        document = {
            "type": "FeatureCollection",
            "crs": {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::3035"}},
            "features": [
                {"type": "Feature", "properties": {"id": 5}, "geometry": mapping(box(*bounds.astuple()))},
                {"type": "Feature", "properties": {"id": 6}, "geometry": mapping(box(2e6, 1e6, 6e6, 5e6))},
                {"type": "Feature", "properties": {"id": 7}, "geometry": mapping(box(2e6, 1e6, 3e6, 2e6))},
            ],
        }
        regions = self.write(tmp_path / "r.geojson", document)
        made(plan_thresholds(world.request(regions=regions), Settings()), tmp_path / "out")
        found = regions_of(tmp_path / "out")
        assert set(found) == {"5", "6"}
        assert found["5"]["properties"]["t_min_cells"][0] == world.samples(slice(0, 60), 0, CROPLAND).size
        assert found["6"]["properties"]["t_min_cells"][0] == world.samples(slice(0, 120), 0, CROPLAND).size

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda d: d["features"][0].pop("properties"), "feature 1 .* has no name"),
            (lambda d: d["features"][0].update(properties={"name": "  "}), "feature 1 .* has no name"),
            (lambda d: d["features"][1].update(properties={"name": "west"}), "two regions named 'west'"),
            (lambda d: d["features"][1].update(geometry=None), "region east holds a feature without geometry"),
            (lambda d: d["features"][1]["geometry"].update(type="Nothing"), "region east"),
            (
                lambda d: d["features"][1].update(
                    geometry={"type": "Polygon", "coordinates": [[[0, 0], [1, 1], [1, 0], [0, 1], [0, 0]]]}
                ),
                "no valid polygon",
            ),
            (lambda d: d.update(features=[]), "no FeatureCollection"),
            (lambda d: d.update(features=[5]), "feature 1"),
            (lambda d: d.pop("features"), "no FeatureCollection"),
        ],
    )
    def test_what_is_no_region_is_told(self, world, tmp_path, change, message):
        document = features({"west": part(0, 60), "east": part(60, 60)}, "name")
        change(document)
        with pytest.raises(InvalidArea, match=message):
            plan_thresholds(world.request(regions=self.write(tmp_path / "r.geojson", document)), Settings())

    def test_no_file_and_no_json(self, world, tmp_path):
        with pytest.raises(NotFound, match="no file of regions"):
            plan_thresholds(world.request(regions=tmp_path / "r.geojson"), Settings())
        (tmp_path / "r.geojson").write_text("{")
        with pytest.raises(InvalidArea, match="no GeoJSON"):
            plan_thresholds(world.request(regions=tmp_path / "r.geojson"), Settings())

    def test_elsewhere_is_no_data(self, world, tmp_path):
        far = self.write(tmp_path / "r.geojson", features({"far": part(5000, 60), "beside": part(121, 60)}))
        with pytest.raises(NoData, match="none of 2 regions touches"):
            plan_thresholds(world.request(regions=far), Settings())


class TestRefusals:
    def test_products_that_do_not_go_together(self, world, tmp_path):
        with pytest.raises(InvalidInput, match="given twice"):
            plan_thresholds(world.request(index=(world.index, world.index)), Settings())
        other = index_product(tmp_path / "o", world.extremes, world.geobox, features(world.tiles), index="nbr2")
        with pytest.raises(InvalidInput, match="nbr2 and pvir2"):
            plan_thresholds(world.request(index=(world.index, other)), Settings())

    def test_products_without_an_index(self, world, tmp_path):
        with pytest.raises(NotFound, match="no product in"):
            plan_thresholds(world.request(index=(tmp_path,)), Settings())
        wrong = index_product(tmp_path / "w", world.extremes, world.geobox, None, kind="soil-map")
        with pytest.raises(InvalidInput, match="kind soil-map"):
            plan_thresholds(world.request(index=(wrong,)), Settings())
        untiled = index_product(tmp_path / "u", world.extremes, world.geobox, None, kind="composite")
        with pytest.raises(NotFound, match=r"tiles\.geojson; give the regions with --regions"):
            plan_thresholds(world.request(index=(untiled,)), Settings())
        record = read_record(untiled)
        record.model_copy(update={"layers": record.layers[1:]}).write(untiled)
        with pytest.raises(NotFound, match="no layer 'INDEX'"):
            plan_thresholds(world.request(index=(untiled,)), Settings())

    def test_a_composite_serves_as_well(self, world, tmp_path):
        folder = index_product(tmp_path / "c", world.extremes, world.geobox, features(world.tiles), kind="composite")
        record = made(plan_thresholds(world.request(index=(folder,)), Settings()), tmp_path / "out")
        assert record.sources[0].role == "composite"

    def test_land_cover_and_grid(self, world, tmp_path):
        with pytest.raises(NotFound, match="no raster"):
            plan_thresholds(world.request(land_cover=tmp_path / "no.tif"), Settings())
        with pytest.raises(NotFound, match="no legend"):
            plan_thresholds(world.request(legend="flanders"), Settings())
        with pytest.raises(InvalidRaster, match=r"code 80, which is none of CORINE"):
            made(plan_thresholds(world.request(legend="corine"), Settings()), tmp_path / "out")
        with pytest.raises(InvalidInput, match="resolution -5"):
            plan_thresholds(world.request(resolution_m=-5), Settings())
        with pytest.raises(InvalidInput, match="degree"):
            plan_thresholds(world.request(crs="EPSG:4326"), Settings())
        with pytest.raises(LimitExceeded):
            plan_thresholds(world.request(resolution_m=1), Settings(max_cells=1000))


@pytest.fixture(scope="module")
def store(world, result, tmp_path_factory):
    store = Store.open(tmp_path_factory.mktemp("store") / "s", Settings())
    store.register(read_record(world.index), world.index)
    store.register(result[1], result[0])
    return store


class TestRegister:
    def test_both_kinds_are_valid_stac_and_iso(self, store):
        schemas = Path(__file__).resolve().parents[2] / ".cache" / "iso-schemas"
        assert validate_catalog(store.catalog_path.parent, schemas if (schemas / "pycsw").is_dir() else None) == []
        assert store.collections() == ["bare-soil-index", "bare-soil-thresholds"]

    def test_items_say_what_they_are_and_whence(self, store, world, result):
        folder = store.find("bare-soil-thresholds", result[1].id)
        item = json.loads((folder / f"{result[1].id}.json").read_text())
        assert item["properties"]["cup4soil:kind"] == "thresholds"
        assert {"THRESHOLDS", "SCORES", "regions", "lineage", "thumbnail"} <= set(item["assets"])
        index = read_record(world.index).id
        derived = [link["href"] for link in item["links"] if link["rel"] == "derived_from"]
        assert f"../../bare-soil-index/{index}/{index}.json" in derived
        assert "thumbnail" in json.loads((store.find("bare-soil-index", index) / f"{index}.json").read_text())["assets"]

    def test_coverages_read_them(self, store, world):
        catalog = CoverageCatalog(store)
        assert set(catalog.collections()) == {"bare-soil-index", "bare-soil-thresholds"}
        assert list(catalog.coverage("bare-soil-thresholds").fields) == ["T_MIN", "T_MAX", "S_MIN", "S_MAX"]
        assert list(catalog.coverage("bare-soil-index").fields)[:2] == ["IMIN", "IMAX"]
        reader = CoverageReader(catalog, Limits())
        try:
            answer = reader.read("bare-soil-thresholds", parse_query([("properties", "T_MIN,T_MAX")]))
        finally:
            reader.close()
        assert answer.values.shape == (2, 6, 12)
        assert (answer.values > 0).all()


class TestCommand:
    def test_makes_registers_and_tells(self, world, tmp_path, capsys):
        arguments = ["thresholds", str(world.index), str(tmp_path / "out"), "--landcover", str(world.cover)]
        assert run([*arguments, "--resolution", "200", "--store", str(tmp_path / "store"), "--json"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert told["made"] == "now"
        assert {m["name"] for m in told["quality"]} == {
            "regions used",
            "regions rejected",
            "median score",
            "worst score",
        }
        assert (tmp_path / "out" / "THRESHOLDS.tif").is_file()
        assert Path(told["item"]).is_dir()
        assert run([*arguments, "--resolution", "200"]) == 0
        assert "nothing was written" in capsys.readouterr().out

    @pytest.mark.parametrize(
        ("change", "status", "message"),
        [
            (["--landcover-classes", "flanders"], 1, "no legend 'flanders'"),
            (["--regions", "nowhere.geojson"], 1, "no file of regions"),
            (["--landcover", "nowhere.tif"], 1, "no raster nowhere.tif"),
            (["--landcover-classes", "corine"], 1, "none of CORINE Land Cover's"),
            (["--resolution", "fine"], 2, "not a valid float"),
        ],
    )
    def test_errors_are_one_line(self, world, tmp_path, capsys, change, status, message):
        arguments = ["thresholds", str(world.index), str(tmp_path / "out"), "--landcover", str(world.cover)]
        assert run(arguments + change) == status
        error = capsys.readouterr().err
        assert message in error
        assert error.splitlines()[-1].startswith("cup4soil: error: ")
        assert not (tmp_path / "out").exists()


def test_real_labels_of_flanders(shared_data, tmp_path):
    """Cropland (11) against grassland (13) of the farmers' declarations; too little is built up (60) for T_MAX."""
    source = shared_data / "s2-flanders"
    items = archive_items(str(source / "catalog.json"), ArchiveQuery(None, None, None, ("sentinel-2-l2a",)))
    overpasses = select_scenes(items, SceneFilter()).overpasses
    geobox = overpasses[0].scenes[0].grid
    series = []
    for overpass in overpasses:
        seen = read_overpass([scene.files for scene in overpass.scenes], geobox)
        index = pvir2(*(seen[BANDS.index(band)] for band in ("B04", "B08", "B12")))
        series.append(np.where(np.isnan(seen[0]), np.nan, index))
    extremes = np.array([np.fmin.reduce(series), np.fmax.reduce(series)])
    extent = Bounds(*geobox.boundingbox.bbox)
    index = index_product(tmp_path / "index", extremes, geobox, features({"31UES": (extent, geobox.crs)}))
    legend = tmp_path / "flanders.csv"
    legend.write_text("code,class\n11,cropland\n13,grassland\n60,built-up\n99,other\n")
    request = ThresholdRequest(index=(index,), land_cover=source / "reference_lc.tif", legend=legend)
    record = made(plan_thresholds(request, Settings()), tmp_path / "out")
    found = regions_of(tmp_path / "out")["31UES"]["properties"]
    # The labels are of 10 m: of 20 m cells with one label throughout the definition gives, by brute force,
    labels = (
        rasterio.open(source / "reference_lc.tif")
        .read(1)
        .reshape(32, 2, 32, 2)
        .transpose(0, 2, 1, 3)
        .reshape(32, 32, 4)
    )
    pure = (labels == labels[..., :1]).all(axis=2)
    stored = np.rint(extremes[0] * 1e4)
    classes = [stored[pure & (labels[..., 0] == code) & ~np.isnan(stored)].astype(int).tolist() for code in (11, 13)]
    assert (found["t_min"], found["t_min_score"]) == pytest.approx(by_definition(*classes), abs=1e-6)
    assert found["t_min"] == pytest.approx(0.325, abs=1e-9)
    assert found["t_min_score"] < 0.2
    assert found["t_max"] is None
    assert "cells of built-up" in found["t_max_rejected_because"]
    assert any("T_MAX and S_MAX are empty" in note for note in record.limitations)
    surface = read_threshold(tmp_path / "out" / "THRESHOLDS.tif", geobox)
    assert surface == pytest.approx(found["t_min"], abs=5e-5)
    assert project(shape(record.extent.geometry), WGS84, geobox.crs).contains(box(*geobox.boundingbox.bbox))

"""Legends of land cover, and the rasters a composite is made with: land cover and threshold surfaces."""

import json
from importlib import import_module

import numpy as np
import pytest
import rasterio
from affine import Affine
from odc.geo.geobox import GeoBox
from rasterio.enums import Resampling
from rasterio.transform import array_bounds
from rasterio.warp import calculate_default_transform, reproject, transform
from scipy.interpolate import RegularGridInterpolator

from cup4soil.errors import InvalidInput, InvalidRaster, NotFound
from cup4soil.grids import parse_crs
from cup4soil.methods.thresholds import CLASS_NAMES
from producers.composite_surfaces import read_land_cover, read_threshold
from producers.land_cover import BUILT_IN, CLASSES, OTHER, read_legend

UTM = "EPSG:32631"
LEFT, TOP = 500_000.0, 5_600_000.0


def grid(rows=40, cols=50, cell=20.0, left=LEFT, top=TOP, crs=UTM):
    return GeoBox((rows, cols), Affine(cell, 0, left, 0, -cell, top), parse_crs(crs))


def write(path, values, cell, *, left=LEFT, top=TOP, crs=UTM, nodata=None, names=(), scale=1.0, south_up=False):
    """A raster whose first row is the northern one in ``values``, whichever way it is stored."""
    values = np.atleast_3d(values.T).T if values.ndim == 2 else values
    rows = values.shape[1]
    affine = Affine(cell, 0, left, 0, -cell, top)
    if south_up:
        values, affine = values[:, ::-1], Affine(cell, 0, left, 0, cell, top - rows * cell)
    profile = {"driver": "GTiff", "count": len(values), "height": rows, "width": values.shape[2]}
    with rasterio.open(path, "w", **profile, dtype=values.dtype, crs=crs, transform=affine, nodata=nodata) as dataset:
        dataset.write(values)
        dataset.scales = (scale,) * len(values)
        for index, name in enumerate(names, 1):
            dataset.set_band_description(index, name)
    return path


class TestLegends:
    def test_classes_go_by_the_rules_of_the_core(self):
        rules = import_module("cup4soil.methods.composite")
        assert CLASSES["built-up"] == rules.BUILT_UP
        assert CLASSES["water"] == rules.WATER
        assert all(CLASSES[name] == code for code, name in CLASS_NAMES.items())
        assert OTHER not in rules.OTHER_LAND_COVER
        assert OTHER not in CLASS_NAMES
        assert len(set(CLASSES.values())) == len(CLASSES)

    def test_worldcover_stays_as_it_is(self):
        legend = BUILT_IN["worldcover"]
        assert {code: CLASSES[name] for code, name in legend.classes.items()} == {
            code: code for code in (0, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 100)
        }

    @pytest.mark.parametrize(
        ("legend", "code", "name"),
        [
            ("corine", 111, "built-up"),
            ("corine", 1, "built-up"),
            ("corine", 211, "cropland"),
            ("corine", 12, "cropland"),
            ("corine", 221, "other"),
            ("corine", 231, "grassland"),
            ("corine", 18, "grassland"),
            ("corine", 311, "forest"),
            ("corine", 23, "forest"),
            ("corine", 26, "grassland"),
            ("corine", 523, "water"),
            ("corine", 44, "water"),
            ("corine", 48, "none"),
            ("lucas", 1, "built-up"),
            ("lucas", 211, "cropland"),
            ("lucas", 232, "cropland"),
            ("lucas", 290, "cropland"),
            ("lucas", 255, "other"),
            ("lucas", 282, "other"),
            ("lucas", 3, "forest"),
            ("lucas", 500, "grassland"),
            ("lucas", 630, "moss"),
            ("lucas", 750, "snow"),
            ("lucas", 7, "water"),
            ("worldcover", 60, "bare"),
        ],
    )
    def test_known_codes(self, legend, code, name):
        assert BUILT_IN[legend].classes[code] == name

    def test_corine_has_its_44_classes_twice(self):
        classes = BUILT_IN["corine"].classes
        codes = sorted(code for code in classes if 111 <= code <= 523 and code != 255)
        assert len(codes) == 44
        assert [classes[n] for n in range(1, 45)] == [classes[code] for code in codes]

    def test_one_number_means_different_things(self, tmp_path):
        flanders = tmp_path / "flanders.json"
        flanders.write_text(json.dumps({"11": "cropland", "13": "grassland", "60": "built-up", "99": "other"}))
        raster = write(tmp_path / "lc.tif", np.full((4, 4), 60, np.uint16), 20)
        box = grid(4, 4)
        assert (read_land_cover(raster, box) == CLASSES["bare"]).all()
        assert (read_land_cover(raster, box, read_legend(str(flanders))) == CLASSES["built-up"]).all()
        with pytest.raises(InvalidRaster, match=r"code 60.*CORINE"):
            read_land_cover(raster, box, read_legend("corine"))

    def test_names_are_found_whatever_their_case(self):
        assert read_legend("CORINE") is BUILT_IN["corine"]

    @pytest.mark.parametrize(
        "text", ["code,class\n1,Forest\n60,built-up\n-5,none\n", "\ufeff1,forest\n\n60, built-up\n-5,none"]
    )
    def test_csv_is_the_same_legend_as_json(self, tmp_path, text):
        (tmp_path / "a.csv").write_text(text, encoding="utf-8")
        (tmp_path / "a.json").write_text('{"60": "built-up", "1": "forest", "-5": "none"}')
        legends = [read_legend(tmp_path / name) for name in ("a.csv", "a.json")]
        assert legends[0].classes == legends[1].classes == {1: "forest", 60: "built-up", -5: "none"}
        assert legends[0].parameters() == legends[1].parameters() == {"-5": "none", "1": "forest", "60": "built-up"}
        assert BUILT_IN["lucas"].parameters() == "lucas"

    def test_a_file_named_like_a_legend_is_not_taken_for_it(self, tmp_path):
        (tmp_path / "corine").write_text("1,forest")
        legend = read_legend(tmp_path / "corine")
        assert legend.parameters() == {"1": "forest"}

    @pytest.mark.parametrize(
        ("text", "message"),
        [
            ("1,meadow", "'meadow' for 1"),
            ("1,forest\n1,water", "the code 1 twice"),
            ('{"1": "forest", "1": "water"}', "the code 1 twice"),
            ('{"1": ["forest"]}', "has the class"),
            ('{"1": "forest"', "no JSON"),
            ("{}", "holds no code"),
            ("", "holds no code"),
            ("code,class", "holds no code"),
            ("1;forest", "1 columns in line 1"),
            ("1,forest,x", "3 columns"),
            ("1.5,forest", "'1.5'"),
            ("123456789,forest", "whole numbers"),
            ("²,forest", "whole numbers"),
            ('1,"forest', "no CSV"),
        ],
    )
    def test_what_is_no_legend_is_told(self, tmp_path, text, message):
        (tmp_path / "legend").write_text(text, encoding="utf-8")
        with pytest.raises(InvalidInput, match=message):
            read_legend(tmp_path / "legend")

    def test_no_file_and_no_text_are_told(self, tmp_path):
        with pytest.raises(NotFound, match=r"corina.*worldcover, corine, lucas"):
            read_legend("corina")
        (tmp_path / "legend").write_bytes(b"1,\xff\xfe")
        with pytest.raises(InvalidInput, match="UTF-8"):
            read_legend(tmp_path / "legend")
        (tmp_path / "legend").write_bytes(b"1,forest\n" * 200_000)
        with pytest.raises(InvalidInput, match="larger than"):
            read_legend(tmp_path / "legend")


class TestLandCover:
    def test_nodata_is_missing_unless_the_legend_has_it(self, tmp_path):
        codes = np.array([[-128, 12], [18, 44]], np.int8)
        clc = write(tmp_path / "clc.tif", codes, 20, nodata=-128)
        found = read_land_cover(clc, grid(2, 2), BUILT_IN["corine"])
        assert np.isnan(found[0, 0])
        assert found.ravel()[1:].tolist() == [40, 30, 80]
        cover = write(tmp_path / "wc.tif", np.array([[0, 40]], np.uint8), 20, nodata=0)
        assert read_land_cover(cover, grid(1, 2)).tolist() == [[0, 40]]

    def test_other_is_a_code_of_its_own_and_outside_is_unknown(self, tmp_path):
        (tmp_path / "l.csv").write_text("7,other\n8,cropland")
        raster = write(tmp_path / "lc.tif", np.array([[7, 8]], np.uint8), 20)
        found = read_land_cover(raster, grid(1, 3), read_legend(tmp_path / "l.csv"))
        assert found[0, :2].tolist() == [254, 40]
        assert np.isnan(found[0, 2])

    def test_south_up_is_read_rightly(self, tmp_path):
        codes = np.random.default_rng(0).choice([10, 30, 40, 50], (6, 5)).astype(np.uint8)
        raster = write(tmp_path / "lc.tif", codes, 20, south_up=True)
        assert (read_land_cover(raster, grid(6, 5)) == codes).all()

    @pytest.mark.parametrize("crs", ["EPSG:3035", "EPSG:4326"])
    def test_another_crs_is_read_by_the_nearest_cell(self, tmp_path, crs):
        rng = np.random.default_rng(6)
        resolution = 10 if crs == "EPSG:3035" else 1e-4
        affine, width, height = calculate_default_transform(
            UTM, crs, 50, 40, *array_bounds(40, 50, grid().affine), resolution=resolution
        )
        codes = rng.choice([10, 30, 40, 50], (height, width)).astype(np.uint8)
        raster = write(tmp_path / "lc.tif", codes, resolution, left=affine.c, top=affine.f, crs=crs)
        columns, rows = np.meshgrid(np.arange(50) + 0.5, np.arange(40) + 0.5)
        x, y = transform(UTM, crs, *(each.ravel() for each in grid().affine @ (columns, rows)))
        col, row = (np.floor(each).astype(int) for each in ~affine @ (np.array(x), np.array(y)))
        found = read_land_cover(raster, grid()).ravel()
        # Beside the border of a cell the last digits decide.
        assert (found == codes[row, col]).mean() > 0.999

    def test_far_outside_nothing_is_known(self, tmp_path):
        raster = write(tmp_path / "lc.tif", np.full((2, 2), 40, np.uint8), 20)
        assert np.isnan(read_land_cover(raster, grid(2, 2, left=LEFT + 5000))).all()


def coarse(rng, rows=6, cols=7):
    return rng.integers(500, 4000, (rows, cols)).astype(np.int16)


def oracle(values, cell, box):
    """Bilinear between the centres of a coarse grid at (LEFT, TOP), nearest beyond the outer centres; by scipy."""
    rows, cols = values.shape
    y, x = TOP - (np.arange(rows) + 0.5) * cell, LEFT + (np.arange(cols) + 0.5) * cell
    interpolate = RegularGridInterpolator((y[::-1], x), values[::-1], method="linear")
    a = box.affine
    px = np.clip(a.c + (np.arange(box.shape[1]) + 0.5) * a.a, x[0], x[-1])
    py = np.clip(a.f + (np.arange(box.shape[0]) + 0.5) * a.e, y[-1], y[0])
    return interpolate(np.stack(np.meshgrid(py, px, indexing="ij"), axis=-1))


class TestThreshold:
    def test_a_number_is_everywhere(self):
        assert (read_threshold(0.25, grid(2, 3)) == np.full((2, 3), 0.25)).all()

    @pytest.mark.parametrize("south_up", [False, True])
    def test_coarse_scaled_integers_are_interpolated(self, tmp_path, south_up):
        stored = coarse(np.random.default_rng(1))
        raster = write(tmp_path / "t.tif", stored, 130, scale=1e-4, nodata=-32768, south_up=south_up)
        box = grid(39, 45)
        assert read_threshold(raster, box) == pytest.approx(oracle(stored * 1e-4, 130, box), abs=1e-6)

    @pytest.mark.parametrize("south_up", [False, True])
    def test_an_equal_grid_keeps_its_values(self, tmp_path, south_up):
        values = np.random.default_rng(2).uniform(-0.4, 0.8, (40, 50)).astype(np.float32)
        raster = write(tmp_path / "t.tif", values, 20, south_up=south_up)
        assert (read_threshold(raster, grid()) == values).all()

    def test_a_block_is_a_part_of_the_whole(self, tmp_path):
        raster = write(tmp_path / "t.tif", coarse(np.random.default_rng(3)), 130, scale=1e-4)
        box = grid(39, 45)
        whole = read_threshold(raster, box)
        assert read_threshold(raster, box[11:23, 7:31]) == pytest.approx(whole[11:23, 7:31], abs=1e-12)

    @pytest.mark.parametrize("declared", [True, False])
    @pytest.mark.parametrize("south_up", [False, True])
    def test_gaps_are_unknown_and_eat_no_neighbour(self, tmp_path, declared, south_up):
        values = np.random.default_rng(4).uniform(0.1, 0.4, (6, 7)).astype(np.float32)
        values[2:4, 3] = np.nan
        values[0, 0] = np.nan
        raster = write(tmp_path / "t.tif", values, 100, nodata=np.nan if declared else None, south_up=south_up)
        box = grid(30, 35)
        found = read_threshold(raster, box)
        # Every coarse cell covers 5 x 5 fine ones: unknown are exactly those under a gap.
        expected = np.isnan(values).repeat(5, axis=0).repeat(5, axis=1)
        assert (np.isnan(found) == expected).all()
        # Far from gaps it is plain bilinear; beside them a mean of the neighbours that are there.
        whole = oracle(np.nan_to_num(values), 100, box)
        near_gap = np.zeros((6, 7), bool)
        near_gap[1:5, 2:5] = near_gap[:2, :2] = True
        far = ~near_gap.repeat(5, axis=0).repeat(5, axis=1)
        assert found[far] == pytest.approx(whole[far], abs=1e-6)
        assert np.nanmin(found) >= np.nanmin(values)
        assert np.nanmax(found) <= np.nanmax(values)

    def test_a_gap_by_nodata_and_one_by_nan_in_one_file(self, tmp_path):
        values = np.full((4, 4), 0.3, np.float32)
        values[0, 0], values[3, 3] = -9999, np.nan
        found = read_threshold(write(tmp_path / "t.tif", values, 100, nodata=-9999), grid(20, 20))
        assert np.isnan(found).sum() == 50
        assert found[~np.isnan(found)] == pytest.approx(0.3)

    def test_outside_is_unknown(self, tmp_path):
        raster = write(tmp_path / "t.tif", np.full((2, 2), 0.3, np.float32), 100)
        found = read_threshold(raster, grid(20, 20))
        assert (~np.isnan(found)).sum() == 100
        assert found[:10, :10] == pytest.approx(0.3)
        assert np.isnan(read_threshold(raster, grid(4, 4, left=LEFT + 9000))).all()

    def test_another_crs(self, tmp_path):
        rng = np.random.default_rng(5)
        affine, width, height = calculate_default_transform(
            UTM, "EPSG:3035", 50, 40, *array_bounds(40, 50, grid().affine), resolution=150
        )
        left, top = affine.c - 300, affine.f + 300
        values = rng.uniform(0.1, 0.4, (height + 4, width + 4)).astype(np.float32)
        raster = write(tmp_path / "t.tif", values, 150, left=left, top=top, crs="EPSG:3035")
        found = read_threshold(raster, grid())
        for row, col in ((0, 0), (13, 29), (39, 49)):
            x, y = grid().affine @ (col + 0.5, row + 0.5)
            (px,), (py,) = transform(UTM, "EPSG:3035", [x], [y])
            c, r = (px - left) / 150 - 0.5, (top - py) / 150 - 0.5
            i, j, v, u = int(r), int(c), r % 1, c % 1
            (a, b), (d, e) = values[i : i + 2, j : j + 2].astype(float)
            expected = (a * (1 - u) + b * u) * (1 - v) + (d * (1 - u) + e * u) * v
            assert found[row, col] == pytest.approx(expected, abs=1e-4)
        warped = np.full((40, 50), np.nan, np.float32)
        reproject(
            values, warped, src_transform=Affine(150, 0, left, 0, -150, top), src_crs="EPSG:3035",
            dst_transform=grid().affine, dst_crs=UTM, resampling=Resampling.bilinear,
        )  # fmt: skip
        assert found == pytest.approx(warped, abs=2e-3)

    def test_degrees(self, tmp_path):
        (west, east), (north, south) = transform(UTM, "EPSG:4326", [LEFT, LEFT + 1000], [TOP, TOP - 800])
        values = np.full((30, 30), 0.2, np.float32)
        raster = write(tmp_path / "t.tif", values, 0.001, left=west - 0.005, top=north + 0.005, crs="EPSG:4326")
        assert east - west < 0.02
        assert north - south < 0.02
        assert read_threshold(raster, grid()) == pytest.approx(0.2)

    @pytest.mark.parametrize(
        ("names", "band"), [(("T_MIN", "T_MAX"), 0), (("T_MAX", "T_MIN"), 1), (("a", "b"), 0), ((), 0)]
    )
    def test_the_band_named_t_min_counts_else_the_first(self, tmp_path, names, band):
        values = np.stack([np.full((4, 4), 0.1), np.full((4, 4), 0.7)]).astype(np.float32)
        raster = write(tmp_path / "t.tif", values, 20, names=names)
        assert read_threshold(raster, grid(4, 4)) == pytest.approx(values[band, 0, 0])

    def test_another_band_without_values_does_no_harm(self, tmp_path):
        values = np.stack([np.full((4, 4), 2500), np.full((4, 4), -32768)]).astype(np.int16)
        raster = write(tmp_path / "t.tif", values, 20, names=("T_MIN", "T_MAX"), scale=1e-4, nodata=-32768)
        assert read_threshold(raster, grid(4, 4)) == pytest.approx(0.25)

    @pytest.mark.parametrize("bad", [2065.0, -2.5, np.inf])
    def test_what_no_index_can_be_is_refused(self, tmp_path, bad):
        values = np.full((4, 4), 0.2, np.float32)
        values[1, 1] = bad
        with pytest.raises(InvalidRaster, match="outside the index's range"):
            read_threshold(write(tmp_path / "t.tif", values, 20), grid(4, 4))

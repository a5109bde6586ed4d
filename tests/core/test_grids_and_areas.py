"""Grids, tiles, boxes and areas."""

import json
import math

import numpy as np
import pytest
import shapely
from hypothesis import assume, given
from hypothesis import strategies as st
from odc.geo.crs import CRS

from cup4soil.areas import WGS84, box_area, footprint, parse_area, project, read_area
from cup4soil.errors import InvalidArea, InvalidInput, LimitExceeded, NotFound
from cup4soil.grids import (
    EUROPEAN_CRS,
    Bounds,
    Window,
    aligned_geobox,
    blocks,
    crs_code,
    european_tile,
    european_tile_name,
    parse_crs,
)

metres = st.floats(0, 8_000_000, allow_nan=False)


@given(metres, metres, st.floats(0.5, 50_000), st.floats(0.5, 50_000), st.sampled_from([10.0, 20.0, 100.0]))
def test_aligned_grid_covers_the_box_and_little_more(left, bottom, width, height, cell):
    bounds = Bounds(left, bottom, left + width, bottom + height)
    box = aligned_geobox(bounds, EUROPEAN_CRS, cell)
    west, south, east, north = box.boundingbox.bbox
    slack = cell * 1e-5
    assert west <= bounds.left + slack
    assert south <= bounds.bottom + slack
    assert east >= bounds.right - slack
    assert north >= bounds.top - slack
    assert east - west < width + 2 * cell + slack
    assert north - south < height + 2 * cell + slack
    assert math.isclose(west / cell, round(west / cell), abs_tol=1e-9)
    assert math.isclose(north / cell, round(north / cell), abs_tol=1e-9)


def test_box_on_multiples_is_kept():
    assert aligned_geobox(Bounds(600_000, 5_000_000, 600_200, 5_000_100), CRS("EPSG:32632"), 20).shape == (5, 10)


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 97))
def test_blocks_cover_every_cell_once(rows, cols, size):
    seen = np.zeros((rows, cols), dtype=int)
    for window in blocks((rows, cols), size):
        seen[window.slices] += 1
    assert (seen == 1).all()


@given(st.floats(900_000, 7_399_999), st.floats(900_000, 5_499_999))
def test_every_point_lies_in_its_tile(easting, northing):
    left, bottom, right, top = european_tile(european_tile_name(easting, northing)).boundingbox.bbox
    assert left <= easting < right
    assert bottom <= northing < top


def test_tile_as_soilsuite_names_it():
    tile = european_tile("0028-0048")
    assert tile.boundingbox.bbox == (2_800_000, 4_800_000, 3_000_000, 5_000_000)
    assert tile.shape == (10_000, 10_000)


@pytest.mark.parametrize("name", ["0029-0048", "28-48", "0028-0048x", "", "../0028"])
def test_bad_tiles(name):
    with pytest.raises(InvalidInput, match="0028-0048"):
        european_tile(name)


@pytest.mark.parametrize(
    "corners", [(1, 0, 0, 1), (0, 1, 1, 0), (0, 0, 0, 1), (math.nan, 0, 1, 1), (-math.inf, 0, 1, 1)]
)
def test_bad_boxes(corners):
    with pytest.raises(InvalidInput, match="west"):
        Bounds(*corners)


def test_grid_limits():
    with pytest.raises(LimitExceeded, match="limit of 10"):
        aligned_geobox(Bounds(0, 0, 1000, 1000), EUROPEAN_CRS, 20, max_cells=10)
    with pytest.raises(InvalidInput, match="not positive"):
        aligned_geobox(Bounds(0, 0, 1000, 1000), EUROPEAN_CRS, 0)
    with pytest.raises(ValueError, match="empty"):
        Window(0, 0, 0, 1)


def test_crs_names():
    assert crs_code(parse_crs("epsg:3035")) == "EPSG:3035"
    with pytest.raises(InvalidInput, match="EPSG:3035"):
        parse_crs("EPSG:none")


@given(st.floats(-20, 35), st.floats(36, 68), st.floats(0.01, 5))
def test_projected_box_keeps_its_interior(west, south, size):
    """Densified edges: what is inside in degrees is inside in metres."""
    area = box_area(Bounds(west, south, west + size, south + size))
    projected = project(area, WGS84, EUROPEAN_CRS)
    inside = project(shapely.Point(west + size * 0.5, south + size * 0.999), WGS84, EUROPEAN_CRS)
    assert projected.contains(inside)


@given(st.floats(2_500_000, 6_500_000), st.floats(1_500_000, 5_000_000))
def test_footprint_is_a_valid_ring_in_degrees(left, bottom):
    geometry = footprint(Bounds(left, bottom, left + 200_000, bottom + 200_000), EUROPEAN_CRS)
    polygon = shapely.from_geojson(json.dumps(geometry))
    assert polygon.is_valid
    assert polygon.exterior.is_ccw
    back = project(polygon, WGS84, EUROPEAN_CRS)
    assert back.area == pytest.approx(4e10, rel=1e-4)


def polygon(*ring):
    return {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}


SQUARE = polygon([0, 0], [1, 0], [1, 1], [0, 1])


def test_geojson_in_all_its_wrappings():
    feature = {"type": "Feature", "properties": {}, "geometry": SQUARE}
    for document in (SQUARE, feature, {"type": "FeatureCollection", "features": [feature]}):
        area, crs = parse_area(document)
        assert area.area == pytest.approx(1.0)
        assert crs == WGS84
    two = {
        "type": "MultiPolygon",
        "coordinates": [SQUARE["coordinates"], polygon([5, 5], [6, 5], [6, 6], [5, 6])["coordinates"]],
    }
    assert parse_area(two)[0].area == pytest.approx(2.0)
    metric = polygon([0, 0], [1000, 0], [1000, 1000], [0, 1000]) | {
        "crs": {"type": "name", "properties": {"name": "EPSG:3035"}}
    }
    assert parse_area(metric)[1] == EUROPEAN_CRS


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "no GeoJSON"),
        ({"type": "Point", "coordinates": [0, 0]}, "Polygon"),
        ({"type": "FeatureCollection", "features": []}, "no feature"),
        ({"type": "Nonsense"}, "cannot be read"),
        ({"type": "Feature", "geometry": None}, "without geometry"),
        ({"type": "FeatureCollection", "features": None}, "without features"),
        (SQUARE | {"crs": {"properties": [1]}}, "no name"),
        ({"type": "Polygon", "coordinates": []}, "empty"),
        ({"type": "Polygon", "coordinates": "x"}, "cannot be read"),
        (polygon([0, 0], [1, 1], [1, 0], [0, 1]), "Self-intersection"),
        (polygon([170, 0], [-170, 0], [-170, 1], [170, 1]), "antimeridian"),
        (polygon([50, 1000], [51, 1000], [51, 1001]), "longitude before latitude"),
    ],
)
def test_bad_areas(document, message):
    with pytest.raises(InvalidArea, match=message):
        parse_area(document)


def test_bad_area_files(tmp_path):
    with pytest.raises(NotFound, match="no area file"):
        read_area(tmp_path / "none.geojson")
    (tmp_path / "bad.geojson").write_text("{")
    with pytest.raises(InvalidArea, match="no GeoJSON"):
        read_area(tmp_path / "bad.geojson")


def test_area_outside_the_domain_of_a_projection():
    with pytest.raises(InvalidArea, match="domain"):
        project(box_area(Bounds(98.9, -0.1, 99.1, 0.1)), WGS84, CRS("EPSG:32632"))


@given(st.floats(-180, 179), st.floats(-90, 89))
def test_box_area_is_that_box(west, south):
    assume(west + 1 <= 180)
    assert box_area(Bounds(west, south, west + 1, south + 1)).bounds == (west, south, west + 1, south + 1)

"""OGC API Coverages, Part 1, draft 19-087: what is selected, how it is scaled and placed.

The oracle is the mosaic that the store was made from, read by brute force with pyproj.
"""

from collections.abc import Mapping

import numpy as np
import pyproj
import pytest
from numpy.typing import NDArray
from rasterio.io import MemoryFile

from tests.conformance.asking import link, links, problem
from tests.conformance.conftest import VALUES, Service

PART = "ogcapi-coverages-1/1.0"
NAME = "soc-0-20cm"
COVERAGE = f"/collections/{NAME}/coverage"
LAEA = "http://www.opengis.net/def/crs/EPSG/0/3035"
_TO_DEGREES = pyproj.Transformer.from_crs("EPSG:3035", "OGC:CRS84", always_xy=True)


class Read:
    """A GeoTIFF as rasterio reads it."""

    def __init__(self, service: Service, params: Mapping[str, str] | list[tuple[str, str]], **headers: str) -> None:
        answer = service.get(COVERAGE, params=params, headers=headers)
        assert answer.status_code == 200, answer.text[:300]
        self.headers = answer.headers
        with MemoryFile(answer.content) as memory, memory.open() as file:
            self.values, self.transform, self.crs = file.read(), file.transform, file.crs
            self.names, self.nodata, self.scales, self.units = file.descriptions, file.nodata, file.scales, file.units
            self.bounds, self.tags = file.bounds, file.tags()


def corners(service: Service, row: int, col: int, rows: int, cols: int) -> tuple[float, float, float, float]:
    """Left, bottom, right and top of a window of the mosaic in EPSG:3035."""
    affine = service.world.grid.affine
    (left, top), (right, bottom) = affine @ (col, row), affine @ (col + cols, row + rows)
    return left, bottom, right, top


def window(service: Service, row: int, col: int, rows: int, cols: int) -> NDArray[np.int16]:
    return service.world.mosaic[row : row + rows, col : col + cols]


def touched(service: Service, west: float, south: float, east: float, north: float) -> tuple[int, int, int, int]:
    """First and last row and column of the cells whose corners or outline a box in degrees meets, by brute force."""
    edge = np.linspace(0, 1, 2001)
    xs = np.concatenate([west + edge * (east - west), np.full_like(edge, east), west + edge * (east - west),
                         np.full_like(edge, west)])  # fmt: skip
    ys = np.concatenate([np.full_like(edge, south), south + edge * (north - south), np.full_like(edge, north),
                         south + edge * (north - south)])  # fmt: skip
    e, n = _TO_DEGREES.transform(xs, ys, direction="INVERSE")
    col, row = ~service.world.grid.affine @ (e, n)
    (rows, cols) = service.world.grid.shape
    return (
        max(0, int(np.floor(row.min()))), min(rows - 1, int(np.floor(row.max()))),
        max(0, int(np.floor(col.min()))), min(cols - 1, int(np.floor(col.max()))),
    )  # fmt: skip


def test_conformance_is_declared(service: Service) -> None:
    """/conf/core/conformance-success"""
    stated = service.json("/conformance")["conformsTo"]
    assert f"http://www.opengis.net/spec/{PART}/conf/core" in stated


def test_collection_description(service: Service) -> None:
    """/conf/core/collection-description: each coverage has its link, its own CRS and its box there."""
    for name, epsg in ((NAME, 3035), ("bare-soil-composites", 3035)):
        document = service.json(f"/collections/{name}")
        assert links(document, "ogc:coverage")
        assert document["storageCrs"] == f"http://www.opengis.net/def/crs/EPSG/0/{epsg}"
        assert document["storageCrs"] in document["crs"]
    box = service.json(f"/collections/{NAME}")["extent"]["spatial"]["storageCrsBbox"][0]
    left, bottom, right, top = corners(service, 0, 0, *service.world.grid.shape)
    assert box == [bottom, left, top, right], "northing comes first in EPSG:3035"


def test_schema_of_the_fields(service: Service) -> None:
    """/conf/core/coverage-fields-schema: names, types, units, definitions and order, the same at both addresses."""
    document = service.json(f"/collections/{NAME}")
    schema = service.client.get(link(document, "ogc:schema", "application/schema+json")).json()
    assert schema["properties"] == service.json(f"{COVERAGE}/schema")["properties"]
    fields = schema["properties"]
    assert [(name, each["x-ogc-propertySeq"]) for name, each in fields.items()] == [("mean", 1), ("q95", 2), ("aoa", 3)]
    for each in fields.values():
        assert each["title"]
        assert each["type"] in ("number", "integer")
        assert each["x-ogc-unitLang"] == "UCUM"
    assert fields["mean"]["x-ogc-unit"] == "g/kg"
    assert fields["mean"]["x-ogc-definition"].startswith("http://inspire.ec.europa.eu/codelist/")
    assert any("glosis" in each for each in fields["mean"]["x-cup4soil-definitions"])
    assert fields["aoa"]["enum"] == [0, 1]


def test_get_coverage(service: Service) -> None:
    """/conf/core/get-coverage: each link gives its format, in the native CRS, with the fields in their order."""
    for each in links(service.json(f"/collections/{NAME}"), "ogc:coverage"):
        answer = service.client.get(each["href"])
        assert answer.status_code == 200
        assert answer.headers["content-type"].split(";")[0] == each["type"].split(";")[0]
    read = Read(service, {})
    assert read.crs.to_epsg() == 3035
    assert read.names == ("mean", "q95", "aoa")
    np.testing.assert_array_equal(read.values[0], service.world.mosaic)


def test_response_headers(service: Service) -> None:
    """/conf/core/response-headers: CRS, box in the order of its axes, and the span of what was mosaicked."""
    left, bottom, right, top = corners(service, 10, 20, 30, 40)
    native = Read(service, {"bbox": f"{bottom},{left},{top},{right}", "bbox-crs": LAEA})
    assert native.headers["content-crs"] == f"<{LAEA}>"
    assert [float(each) for each in native.headers["content-bbox"].split(",")] == [bottom, left, top, right]
    assert native.headers["content-datetime"].startswith("2022-01-03")
    degrees = Read(service, {"bbox": "24.9,65.5,24.95,65.55", "crs": "[OGC:CRS84]"})
    assert degrees.headers["content-crs"].endswith("CRS84>")
    stated = [float(each) for each in degrees.headers["content-bbox"].split(",")]
    np.testing.assert_allclose(stated, list(degrees.bounds), atol=1e-9)


def test_preferences(service: Service) -> None:
    """/conf/core/preference-applied /conf/core/preference-handling-interpolation: lenient unless strict is said."""
    params = {"bbox": "24.9,65.5,24.91,65.51"}
    for prefer in ("interpolation=magic", "handling=lenient, interpolation=magic"):
        answer = service.get(COVERAGE, params=params, headers={"Prefer": prefer})
        assert answer.status_code == 200
        assert "preference-applied" not in answer.headers
    problem(
        service.get(COVERAGE, params=params, headers={"Prefer": "handling=strict, interpolation=magic"}), 400, "int"
    )


def test_native_resolution_or_nothing(service: Service) -> None:
    """/conf/core/preference-handling-resolution: what fits comes as it is, what does not is refused when strict."""
    strict = {"Prefer": "handling=strict"}
    answer = service.get(COVERAGE, params={"properties": "mean"}, headers=strict)
    assert answer.headers["preference-applied"] == "handling=strict"
    # JSON may have fewer values than the coverage.
    problem(service.get(COVERAGE, params={"f": "json"}, headers=strict), 413, "limit")
    shape = service.json(COVERAGE, params={"f": "json"})["ranges"]["mean"]["shape"]
    assert shape[1] < service.world.grid.shape[0]


@pytest.mark.parametrize(
    "box",
    [(24.9, 65.5, 25.1, 65.6), (24.75, 65.48, 25.2, 65.65), (24.9001, 65.5001, 24.9002, 65.5002), (-180, -90, 180, 90)],
)
def test_bbox_in_degrees(service: Service, box: tuple[float, float, float, float]) -> None:
    """/conf/subsetting/bbox-definition /conf/subsetting-spatial/bbox-definition: every cell met is there.

    The box of the projected outline is what a grid can hold: it has all cells met, and none beyond their span.
    """
    read = Read(service, {"bbox": ",".join(map(str, box)), "properties": "mean"})
    if box[0] == -180:
        np.testing.assert_array_equal(read.values[0], service.world.mosaic)
        return
    with_heights = f"{box[0]},{box[1]},-10,{box[2]},{box[3]},1000"
    np.testing.assert_array_equal(Read(service, {"bbox": with_heights, "properties": "mean"}).values, read.values)
    first_row, last_row, first_col, last_col = touched(service, *box)
    expected = window(service, first_row, first_col, last_row - first_row + 1, last_col - first_col + 1)
    np.testing.assert_array_equal(read.values[0], expected)


def test_subset_of_each_axis(service: Service) -> None:
    """/conf/subsetting/subset /conf/subsetting-spatial/subset: one axis leaves the other as it is."""
    left, bottom, right, top = corners(service, 100, 200, 50, 60)
    mosaic = service.world.mosaic
    for subset, expected in (
        (f"E({left}:{right})", mosaic[:, 200:260]),
        (f"N({bottom}:{top})", mosaic[100:150]),
        (f"E({left}:{right}),N({bottom}:{top})", mosaic[100:150, 200:260]),
        (f"x({left}:{right}),y({bottom}:{top})", mosaic[100:150, 200:260]),
    ):
        np.testing.assert_array_equal(Read(service, {"subset": subset, "properties": "mean"}).values[0], expected)
    lat = Read(service, {"subset": "Lat(65.5:65.55),Lon(24.9:25)", "properties": "mean"})
    box = Read(service, {"bbox": "24.9,65.5,25,65.55", "properties": "mean"})
    np.testing.assert_array_equal(lat.values, box.values)


def test_slices(service: Service) -> None:
    """/conf/subsetting/subset /conf/subsetting-spatial/subset: one coordinate is its row or column."""
    left, bottom, _, _ = corners(service, 100, 200, 1, 1)
    read = Read(service, {"subset": f"E({left + 3})", "properties": "mean"})
    np.testing.assert_array_equal(read.values[0], service.world.mosaic[:, 200:201])
    document = service.json(COVERAGE, params={"subset": f"E({left + 3}),N({bottom + 3})", "f": "json"})
    assert document["domain"]["axes"]["x"] == {"values": [left + 10]}
    assert document["ranges"]["mean"]["shape"] == [1, 1, 1]


def test_axes_that_are_not_there(service: Service) -> None:
    """/conf/subsetting/subset-invalid-axis /conf/subsetting-spatial/subset-invalid-axis"""
    for subset in ("depth(0:1)", "E(0:1),Lat(1:2)", "Lat(1:2),Lat(3:4)"):
        problem(service.get(COVERAGE, params={"subset": subset}), 400)
    problem(service.get(COVERAGE, params={"subset": "Lat(60:66)", "subset-crs": LAEA}), 400, "subset-crs")


def test_out_of_bounds(service: Service) -> None:
    """/conf/subsetting/out-of-bounds /conf/subsetting-spatial/out-of-bounds: 404, and where the coverage is."""
    for params in ({"bbox": "0,0,1,1"}, {"subset": "E(0:10)"}, {"subset": "Lat(-3)"}):
        problem(service.get(COVERAGE, params=params), 404, "covers")


def test_across_the_antimeridian(service: Service) -> None:
    """/conf/subsetting-spatial/wrap-around: longitudes that fall go the long way round, by bbox and by subset."""
    whole = Read(service, {"bbox": "10,60,-170,70", "properties": "mean"})
    np.testing.assert_array_equal(whole.values[0], service.world.mosaic)
    east = Read(service, {"subset": "Lon(25:-170),Lat(60:70)", "properties": "mean"})
    np.testing.assert_array_equal(east.values, Read(service, {"bbox": "25,60,180,70", "properties": "mean"}).values)
    problem(service.get(COVERAGE, params={"bbox": "170,60,-170,70"}), 404)
    problem(service.get(COVERAGE, params={"bbox": "20,70,30,60"}), 400, "bbox")


def test_bbox_and_subset_exclude_each_other(service: Service) -> None:
    """/conf/subsetting/subset-bbox-exclusivity /conf/subsetting-spatial/subset-bbox-exclusivity"""
    problem(service.get(COVERAGE, params={"bbox": "24,65,26,66", "subset": "Lat(65:66)"}), 400, "bbox")


def test_open_ends(service: Service) -> None:
    """/conf/subsetting/wildcard-limits /conf/subsetting-spatial/wildcard-limits"""
    left, _, right, _ = corners(service, 0, 300, 1, 100)
    mosaic = service.world.mosaic
    for subset, expected in (
        (f"E(*:{right})", mosaic[:, :400]),
        (f"E({left}:*)", mosaic[:, 300:]),
        ("E(*:*)", mosaic),
    ):
        np.testing.assert_array_equal(Read(service, {"subset": subset, "properties": "mean"}).values[0], expected)


def test_several_subsets(service: Service) -> None:
    """/conf/subsetting/multiple-subset /conf/subsetting-spatial/multiple-subset: are one."""
    left, bottom, right, top = corners(service, 5, 6, 7, 8)
    pairs = [("subset", f"E({left}:{right})"), ("subset", f"N({bottom}:{top})"), ("properties", "mean")]
    np.testing.assert_array_equal(Read(service, pairs).values[0], window(service, 5, 6, 7, 8))


def test_slices_are_not_scaled(service: Service) -> None:
    """/conf/subsetting-spatial/subset-scaling-exclusivity /conf/scaling/subset-scaling-exclusivity"""
    problem(service.get(COVERAGE, params={"subset": "E(5001000)", "resolution": "E(40)"}), 400)
    problem(service.get(COVERAGE, params={"subset": "E(5001000)", "scale-axes": "E(2)"}), 400)
    assert service.get(COVERAGE, params={"subset": "E(5001000)", "scale-axes": "N(2)"}).status_code == 200


def test_crs_of_a_subset(service: Service) -> None:
    """/conf/subsetting/subset-crs /conf/subsetting-spatial/subset-crs: by URI or CURIE; else unused."""
    left, bottom, right, top = corners(service, 5, 6, 7, 8)
    for crs in (LAEA, "[EPSG:3035]"):
        params = {"subset": f"N({bottom}:{top}),E({left}:{right})", "subset-crs": crs, "properties": "mean"}
        np.testing.assert_array_equal(Read(service, params).values[0], window(service, 5, 6, 7, 8))
    degrees = {"subset": "Lat(65.5:65.55),Lon(24.9:25)", "properties": "mean"}
    for crs in ("[OGC:CRS84]", "http://www.opengis.net/def/crs/OGC/1.3/CRS84", "[EPSG:4326]"):
        found = Read(service, degrees | {"subset-crs": crs})
        np.testing.assert_array_equal(found.values, Read(service, degrees).values)
    assert service.get(COVERAGE, params={"subset-crs": LAEA, "properties": "aoa"}).status_code == 200


def test_crs_of_a_box(service: Service) -> None:
    """/conf/subsetting/bbox-crs /conf/subsetting-spatial/bbox-crs: axes in the order of the CRS."""
    left, bottom, right, top = corners(service, 5, 6, 7, 8)
    for crs in (LAEA, "[EPSG:3035]"):
        params = {"bbox": f"{bottom},{left},{top},{right}", "bbox-crs": crs, "properties": "mean"}
        np.testing.assert_array_equal(Read(service, params).values[0], window(service, 5, 6, 7, 8))
    latitude_first = Read(service, {"bbox": "65.5,24.9,65.55,25", "bbox-crs": "[EPSG:4326]", "properties": "mean"})
    longitude_first = Read(service, {"bbox": "24.9,65.5,25,65.55", "properties": "mean"})
    np.testing.assert_array_equal(latitude_first.values, longitude_first.values)
    assert service.get(COVERAGE, params={"bbox-crs": LAEA, "properties": "aoa"}).status_code == 200
    problem(service.get(COVERAGE, params={"bbox": "1,2,3,4", "bbox-crs": "moon"}), 400, "bbox-crs")


@pytest.mark.parametrize(
    ("params", "year"),
    [
        ({}, 2022),
        ({"datetime": "2020-06-01"}, 2020),
        ({"datetime": "2020-06-01T24:00:00Z"}, 2020),
        ({"datetime": "../2020-02"}, 2020),
        ({"datetime": "/2020-02"}, 2020),
        ({"datetime": "2021/.."}, 2022),
        ({"datetime": "2020/2022"}, 2022),
        ({"datetime": "../.."}, 2022),
        ({"subset": 'time("2020-06-01T12:00:00Z")'}, 2020),
        ({"subset": 'time("2020-01-01":"2020-12-31")'}, 2020),
        ({"subset": 'time(*:"2020-12-31")'}, 2020),
        ({"subset": 'time("2021-01-01":*)'}, 2022),
        ({"subset": 'time("*")'}, 2022),
    ],
)
def test_time(service: Service, params: dict[str, str], year: int) -> None:
    """/conf/subsetting/subset /conf/subsetting-temporal/subset /conf/subsetting-temporal/datetime
    /conf/subsetting-temporal/wildcard-limits: the latest period that is met, where a format has no axis of time."""
    read = Read(service, params | {"properties": "mean"})
    expected = {2022: service.world.mosaic, 2020: service.world.older}[year]
    np.testing.assert_array_equal(read.values[0], expected)
    assert read.headers["content-datetime"].startswith(str(year))


def test_time_axis(service: Service) -> None:
    """/conf/subsetting-temporal/subset: an interval keeps the axis, an instant leaves one place on it."""
    place = {"subset": "E(5001000:5001100),N(4799000:4799100)", "f": "json"}
    both = service.json(COVERAGE, params=place | {"datetime": "2020/2022"})
    assert len(both["domain"]["axes"]["t"]["values"]) == 2
    one = service.json(COVERAGE, params=place | {"datetime": "2020-06-01"})
    assert len(one["domain"]["axes"]["t"]["values"]) == 1


def test_times_that_are_not_there(service: Service) -> None:
    """/conf/subsetting-temporal/out-of-bounds /conf/subsetting-temporal/subset-invalid-axis
    /conf/subsetting-temporal/subset-datetime-exclusivity"""
    problem(service.get(COVERAGE, params={"datetime": "1999"}), 404, "periods")
    problem(service.get(COVERAGE, params={"subset": 'time("1999-01-01")'}), 404, "periods")
    problem(service.get(COVERAGE, params={"subset": 'century("20")'}), 400, "century")
    problem(service.get(COVERAGE, params={"datetime": "2020", "subset": 'time("2020-01-01")'}), 400, "datetime")


def test_several_subsets_with_time(service: Service) -> None:
    """/conf/subsetting-temporal/multiple-subset"""
    pairs = [("subset", 'time("2020-06-01")'), ("subset", "E(5001000:5001200)"), ("properties", "mean")]
    np.testing.assert_array_equal(Read(service, pairs).values[0], service.world.older[:, 50:60])


def test_time_is_not_scaled(service: Service) -> None:
    """/conf/subsetting-temporal/subset-scaling-exclusivity: time has no scale at all."""
    for name in ("resolution", "scale-axes", "scale-size"):
        problem(service.get(COVERAGE, params={"subset": 'time("2020-06-01")', name: "time(2)"}), 400)


def means(values: NDArray[np.int16], factor: int) -> NDArray[np.float64]:
    """Means of the valid cells in blocks, NaN where there is none."""
    rows, cols = values.shape[0] // factor, values.shape[1] // factor
    blocks = values[: rows * factor, : cols * factor].astype(float).reshape(rows, factor, cols, factor)
    blocks[blocks == -32768] = np.nan
    counts = np.isfinite(blocks).sum(axis=(1, 3))
    sums = np.nansum(blocks, axis=(1, 3))
    return np.divide(sums, counts, out=np.full((rows, cols), np.nan), where=counts > 0)


@pytest.mark.parametrize(
    ("scale", "factor"),
    [
        ({"scale-factor": "4"}, 4),
        ({"scale-axes": "E(4),N(4)"}, 4),
        ({"scale-size": "E(100),N(50)"}, 4),
        ({"width": "100", "height": "50"}, 4),
        ({"resolution": "E(80),N(80)"}, 4),
        ({"resolution": ""}, 1),
        ({"resolution": "E(),N()"}, 1),
        ({"scale-factor": "1"}, 1),
    ],
)
def test_scales(service: Service, scale: dict[str, str], factor: int) -> None:
    """/conf/scaling/scale-factor /conf/scaling/scale-axes /conf/scaling/scale-size /conf/scaling-spatial/resolution
    /conf/scaling-spatial/native-resolution /conf/scaling-spatial/width-and-height: cells are means of what is valid."""
    left, bottom, right, top = corners(service, 120, 80, 200, 400)
    read = Read(service, scale | {"subset": f"E({left}:{right}),N({bottom}:{top})", "properties": "mean"})
    expected = means(window(service, 120, 80, 200, 400), factor)
    assert read.values.shape[1:] == expected.shape
    assert (read.transform.a, -read.transform.e) == (20 * factor, 20 * factor)
    valid = np.isfinite(expected) & (read.values[0] != -32768)
    assert valid.mean() > 0.8
    assert np.abs(read.values[0] - expected)[valid].max() <= 1.0


def test_one_axis_is_scaled(service: Service) -> None:
    """/conf/scaling/scale-axes /conf/scaling-spatial/width-and-height: the other keeps its cells."""
    left, bottom, right, top = corners(service, 120, 80, 200, 400)
    place = {"subset": f"E({left}:{right}),N({bottom}:{top})", "properties": "mean"}
    for scale, shape in (({"scale-axes": "E(4)"}, (200, 100)), ({"height": "50"}, (50, 400))):
        assert Read(service, place | scale).values.shape[1:] == shape


def test_a_size_holds_for_a_box_that_reaches_past_the_edge(service: Service) -> None:
    """/conf/scaling-spatial/width-and-height: cells keep their size, those outside are empty."""
    left, bottom, right, top = corners(service, -100, -100, 200, 200)
    place = {"subset": f"E({left}:{right}),N({bottom}:{top})", "properties": "mean", "width": "50", "height": "50"}
    read = Read(service, place)
    assert read.values.shape[1:] == (50, 50)
    assert (read.bounds.left, read.bounds.top) == (left, top)
    assert (read.values[0, :25] == -32768).all()


def test_scales_that_cannot_be(service: Service) -> None:
    """/conf/scaling/scale-invalid-axis /conf/scaling-spatial/resolution-invalid-axis"""
    for params in (
        {"resolution": "depth(3)"}, {"resolution": "E(-3)"}, {"scale-axes": "depth(2)"}, {"scale-size": "E(0)"},
        {"scale-factor": "0"}, {"width": "many"}, {"scale-factor": "2", "width": "3"},
    ):  # fmt: skip
        problem(service.get(COVERAGE, params=params), 400)


def test_fields_of_different_resolution(service: Service) -> None:
    """/conf/scaling-spatial/multi-field-resolution: no field has one of its own, and the schema says of none."""
    fields = service.json(f"{COVERAGE}/schema")["properties"]
    assert not any("x-ogc-resolution" in each for each in fields.values())


def test_properties(service: Service) -> None:
    """/conf/fieldselection/properties /conf/field-selection/properties: those named, in the order named."""
    whole = Read(service, {"bbox": "24.9,65.5,24.91,65.51"})
    for wanted, names in (("q95,mean", ("q95", "mean")), ("aoa", ("aoa",)), ("3,1", ("aoa", "mean"))):
        read = Read(service, {"bbox": "24.9,65.5,24.91,65.51", "properties": wanted})
        assert read.names == names
        kept = whole.values[[whole.names.index(name) for name in names]]
        valid = (kept != 255) & (kept != -32768)
        np.testing.assert_array_equal(read.values[valid], kept[valid])
    document = service.json(COVERAGE, params={"bbox": "24.9,65.5,24.91,65.51", "properties": "q95", "f": "json"})
    assert list(document["parameters"]) == list(document["ranges"]) == ["q95"]
    problem(service.get(COVERAGE, params={"properties": "mean,nothing"}), 400, "nothing")


def test_properties_left_out(service: Service) -> None:
    """/conf/field-selection/exclude-properties: all others, in their own order."""
    place = {"bbox": "24.9,65.5,24.91,65.51"}
    assert Read(service, place | {"exclude-properties": "q95"}).names == ("mean", "aoa")
    assert Read(service, place | {"exclude-properties": ""}).names == ("mean", "q95", "aoa")
    for params in ({"exclude-properties": "nothing"}, {"properties": "mean", "exclude-properties": "q95"},
                   {"exclude-properties": "mean,q95,aoa"}):  # fmt: skip
        problem(service.get(COVERAGE, params=place | params), 400, "exclude-properties")


def test_mismatched_resolutions(service: Service) -> None:
    """/conf/field-selection/mismatched-resolution: fields of one and two bytes are given together."""
    read = Read(service, {"properties": "aoa,mean"})
    expected = np.where(service.world.mosaic == -32768, -32768, service.world.mosaic % 2 == 0)
    np.testing.assert_array_equal(read.values[0], expected)


@pytest.mark.parametrize("crs", ["[OGC:CRS84]", "[EPSG:4326]", "[EPSG:3857]", "[EPSG:25835]", LAEA])
def test_crs(service: Service, crs: str) -> None:
    """/conf/crs/crs-definition: values lie where they belong; the oracle looks up the cell of each centre."""
    read = Read(service, {"bbox": "24.9,65.52,24.98,65.55", "crs": crs, "properties": "mean"})
    rows, cols = read.values.shape[1:]
    row, col = np.mgrid[0:rows:7, 0:cols:7]
    x, y = read.transform @ (col + 0.5, row + 0.5)
    e, n = pyproj.Transformer.from_crs(read.crs, "EPSG:3035", always_xy=True).transform(x, y)
    own_col, own_row = (np.floor(each).astype(int) for each in ~service.world.grid.affine @ (e, n))
    true, found = service.world.mosaic[own_row, own_col], read.values[0, ::7, ::7]
    valid = (true != -32768) & (found != -32768)
    assert valid.mean() > 0.9
    # Cells are interpolated: the field is smooth, so that a neighbour's value is a few units off.
    assert np.abs(true[valid].astype(int) - found[valid]).max() <= 6
    assert "content-crs" in read.headers


def test_every_crs_that_is_advertised(service: Service) -> None:
    """/conf/crs/crs-definition: is accepted as crs, bbox-crs and subset-crs; others that do not fit are refused."""
    for crs in service.json(f"/collections/{NAME}")["crs"]:
        assert Read(service, {"crs": crs, "scale-factor": "8"}).headers["content-crs"] == f"<{crs}>"
        for name in ("bbox-crs", "subset-crs"):
            assert service.get(COVERAGE, params={name: crs, "scale-factor": "8"}).status_code == 200
    for crs in ("moon", "EPSG:0", "[EPSG:5773]", "[EPSG:3031]"):
        problem(service.get(COVERAGE, params={"crs": crs, "scale-factor": "8"}), 400, "crs")


def test_too_much_is_refused_before_it_is_read(service: Service) -> None:
    """/conf/core/get-coverage: 413 with the limit and what to do instead."""
    params = {"bbox": "20,60,30,70", "scale-factor": "0.25"}
    problem(service.get(COVERAGE, params=params), 413, str(VALUES), "scale-factor")
    problem(service.get(COVERAGE, params={"width": "100000", "height": "100000"}), 413, str(VALUES))
    problem(service.get(COVERAGE, params={"resolution": "E(0.000001),N(0.000001)"}), 413, str(VALUES))

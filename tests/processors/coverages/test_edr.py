"""OGC API EDR: values at points, in areas and boxes, over periods, checked against the arrays that were stored."""

import csv
import io
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

import httpx
import numpy as np
import pyproj
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from processors.edr_query import PARAMETERS, parse_edr
from processors.edr_reader import _cells_within
from tests.processors.coverages import worlds
from tests.processors.coverages.conftest import COLLECTION, LEFT, TOP, World

type Array = NDArray[np.float64]

_LONLAT = pyproj.Transformer.from_crs("EPSG:3035", "EPSG:4326", always_xy=True)


@pytest.fixture(scope="module")
def client(server: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=f"{server}/ogc", timeout=30) as client:
        yield client


def _ask(client: httpx.Client, kind: str, **query: str) -> httpx.Response:
    return client.get(f"/collections/{COLLECTION}/{kind}", params={k.replace("_", "-"): v for k, v in query.items()})


def _cell(world: World, row: int, column: int) -> float | None:
    stored = world.mosaic[row, column]
    return None if stored == worlds.NODATA else round(float(stored) * 0.1, 9)


def _lonlat(row: float, column: float) -> tuple[float, float]:
    x, y = _LONLAT.transform(LEFT + (column + 0.5) * 20, TOP - (row + 0.5) * 20)
    return float(x), float(y)


@pytest.mark.parametrize(("row", "column"), [(300, 300), (350, 560), (20, 530), (5, 20), (799, 1099)])
def test_a_position_has_every_field_of_its_cell(world: World, client: httpx.Client, row: int, column: int) -> None:
    lon, lat = _lonlat(row, column)
    document = _ask(client, "position", coords=f"POINT({lon} {lat})").json()
    assert document["domain"]["domainType"] == "PointSeries"
    assert document["domain"]["axes"]["x"]["values"] == [lon]
    assert document["domain"]["referencing"][0]["coordinates"] == ["x", "y"]
    assert list(document["ranges"]) == ["mean", "q95", "aoa"]
    want = _cell(world, row, column)
    assert document["ranges"]["mean"]["values"] == [want]
    told = document["cup4soil:statements"][0]
    if want is None:
        assert told["inside"] is None
        assert told["text"].startswith("No value")
    else:
        inside = int(world.mosaic[row, column]) % 2 == 0
        assert document["ranges"]["aoa"]["values"] == [int(inside)]
        assert told["inside"] is inside
        assert ("Outside the area of applicability" in told["text"]) is not inside
        assert f"Mean {want:g} g/kg" in told["text"]


def test_coordinates_stand_in_the_order_of_the_axes_of_crs(world: World, client: httpx.Client) -> None:
    east, north = LEFT + 300 * 20 + 5, TOP - 200 * 20 - 5
    there = _ask(client, "position", coords=f"POINT({north} {east})", crs="EPSG:3035", parameter_name="mean")
    assert there.json()["ranges"]["mean"]["values"] == [_cell(world, 200, 300)]
    assert there.json()["domain"]["referencing"][0]["coordinates"] == ["y", "x"]
    assert there.json()["domain"]["axes"]["x"]["values"] == [east]
    assert there.headers["content-crs"] == "<http://www.opengis.net/def/crs/EPSG/0/3035>"
    swapped = _ask(client, "position", coords=f"POINT({east} {north})", crs="EPSG:3035")
    assert swapped.status_code == 404
    assert "order of the axes" in swapped.json()["detail"]


def test_a_value_is_never_without_its_applicability(client: httpx.Client) -> None:
    lon, lat = _lonlat(300, 300)
    document = _ask(client, "position", coords=f"POINT({lon} {lat})", parameter_name="mean").json()
    assert list(document["ranges"]) == ["mean"]
    assert isinstance(document["cup4soil:statements"][0]["inside"], bool)
    assert "simulated" in document["cup4soil:statements"][0]["text"]


def test_an_interval_of_time_gives_a_series(world: World, client: httpx.Client) -> None:
    lon, lat = _lonlat(300, 300)
    series = _ask(client, "position", coords=f"POINT({lon} {lat})", datetime="2019-01-01/..").json()
    assert [t[:4] for t in series["domain"]["axes"]["t"]["values"]] == ["2020", "2022"]
    assert len(series["domain"]["axes"]["t"]["bounds"]) == 4
    older = round(float(world.older[300, 300]) * 0.1, 9)
    assert series["ranges"]["mean"]["values"] == [older, _cell(world, 300, 300)]
    assert [each["datetime"][:4] for each in series["cup4soil:statements"]] == ["2020", "2022"]
    one = _ask(client, "position", coords=f"POINT({lon} {lat})", datetime="2020").json()
    assert one["ranges"]["mean"]["values"] == [older]


def test_several_points_in_all_formats_agree(world: World, client: httpx.Client) -> None:
    cells = [(300, 300), (350, 560), (5, 20)]
    coords = "MULTIPOINT(" + ",".join("({} {})".format(*_lonlat(*cell)) for cell in cells) + ")"
    document = _ask(client, "position", coords=coords).json()
    assert document["domain"]["domainType"] == "MultiPointSeries"
    assert document["ranges"]["mean"]["shape"] == [1, 3]
    want = [_cell(world, *cell) for cell in cells]
    assert document["ranges"]["mean"]["values"] == want
    features = _ask(client, "position", coords=coords, f="GeoJSON")
    assert features.headers["content-type"] == "application/geo+json"
    assert [each["properties"]["mean"] for each in features.json()["features"]] == want
    assert features.json()["features"][2]["properties"]["statement"].startswith("No value")
    table = _ask(client, "position", coords=coords, f="CSV")
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert [float(row["mean (g/kg)"]) if row["mean (g/kg)"] else None for row in rows] == want
    assert list(rows[0])[:4] == ["longitude", "latitude", "start", "end"]


def _grid(document: dict[str, Any]) -> tuple[Array, Array, Array]:
    axes = document["domain"]["axes"]
    xs, ys = (np.linspace(axes[n]["start"], axes[n]["stop"], axes[n]["num"]) for n in "xy")
    mean = document["ranges"]["mean"]
    return xs, ys, np.array(mean["values"], dtype=float).reshape(mean["shape"])


def test_an_area_holds_the_cells_whose_centres_it_holds(world: World, client: httpx.Client) -> None:
    polygon = shapely.Polygon([_lonlat(300.3, 300.2), _lonlat(310.2, 345.3), _lonlat(355.3, 330.2)])
    document = _ask(client, "area", coords=polygon.wkt, parameter_name="mean,aoa").json()
    xs, ys, values = _grid(document)
    x, y = np.meshgrid(xs, ys)
    lon, lat = _LONLAT.transform(x, y)
    rows, columns = ((TOP - y) // 20).astype(int), ((x - LEFT) // 20).astype(int)
    inside = shapely.contains_xy(polygon, lon, lat)
    np.testing.assert_array_equal(np.isnan(values[0]), ~inside)
    np.testing.assert_allclose(values[0][inside], world.mosaic[rows, columns][inside] * 0.1)
    assert f"of {inside.sum()} cells lie outside" in document["cup4soil:statements"][0]["text"]
    features = _ask(client, "area", coords=polygon.wkt, f="GeoJSON").json()["features"]
    assert len(features) == inside.sum()
    assert all(polygon.buffer(1e-9).contains(shapely.Point(each["geometry"]["coordinates"])) for each in features)
    table = _ask(client, "area", coords=polygon.wkt, f="CSV").text
    assert len(table.splitlines()) == inside.sum() + 1


def test_an_area_smaller_than_a_cell_is_answered_by_the_cells_it_touches(world: World, client: httpx.Client) -> None:
    lon, lat = _lonlat(300, 300)
    tiny = shapely.Point(lon + 5e-5, lat).buffer(1e-6).wkt
    document = _ask(client, "area", coords=tiny, parameter_name="mean").json()
    assert document["ranges"]["mean"]["values"] == [_cell(world, 300, 300)]


def test_a_strip_narrower_than_a_cell_has_the_cells_it_runs_through() -> None:
    grid = worlds.european(LEFT, TOP, 40, 60)
    ends = [(1, -6), (701, -706), (701.1, -706), (1.1, -6)]
    strip = shapely.Polygon([(LEFT + x, TOP + y) for x, y in ends])
    assert not any(strip.contains(shapely.Point(x, y)) for x, y in _centres(grid))
    found = _cells_within(strip, grid)
    overlap = np.array(
        [strip.intersection(shapely.box(x - 10, y - 10, x + 10, y + 10)).length for x, y in _centres(grid)]
    )
    overlap = overlap.reshape(40, 60)
    assert (overlap[found] > 0).all()
    # Twice the way through a cell is the length of its piece of the strip.
    assert found[overlap > 2 * 20 * 0.1 * np.sqrt(2)].all()


def _centres(grid: worlds.GeoBox) -> list[tuple[float, float]]:
    rows, columns = grid.shape
    return [grid.affine @ (column + 0.5, row + 0.5) for row in range(rows) for column in range(columns)]


def test_a_cube_over_two_periods_stands_on_one_grid(world: World, client: httpx.Client) -> None:
    box = f"{TOP - 6200},{LEFT + 5000},{TOP - 6000},{LEFT + 5400}"
    document = _ask(client, "cube", bbox=box, crs="EPSG:3035", datetime="2019/..", parameter_name="mean").json()
    _, _, values = _grid(document)
    assert values.shape == (2, 10, 20)
    np.testing.assert_allclose(values[0], world.older[300:310, 250:270] * 0.1)
    np.testing.assert_allclose(values[1], world.mosaic[300:310, 250:270] * 0.1)
    # The later period reaches further east: the older has nothing there.
    east = f"{TOP - 6200},{LEFT + 13000},{TOP - 6000},{LEFT + 13400}"
    document = _ask(client, "cube", bbox=east, crs="EPSG:3035", datetime="2019/..", parameter_name="mean").json()
    _, _, values = _grid(document)
    assert np.isnan(values[0]).all()
    np.testing.assert_allclose(values[1], world.mosaic[300:310, 650:670] * 0.1)


def test_a_radius_is_a_circle_of_that_many_metres(client: httpx.Client) -> None:
    lon, lat = _lonlat(300, 300)
    query = {"coords": f"POINT({lon} {lat})", "within": "0.5", "within_units": "km", "f": "GeoJSON"}
    features = _ask(client, "radius", **query, parameter_name="mean").json()["features"]
    wgs84 = pyproj.Geod(ellps="WGS84")
    far = [wgs84.inv(lon, lat, *each["geometry"]["coordinates"])[2] for each in features]
    assert max(far) <= 500.5
    assert abs(len(features) * 400 / (np.pi * 500**2) - 1) < 0.02


@pytest.mark.parametrize(
    ("kind", "query", "status", "said"),
    [
        ("position", {}, 400, "coords is missing"),
        ("position", {"coords": "POINT(1 2 3)"}, 400, "well-known text"),
        ("position", {"coords": "POINT(nan 2)"}, 400, "well-known text"),
        ("position", {"coords": "POLYGON((0 0,1 0,1 1,0 0))"}, 400, "MULTIPOINT"),
        ("position", {"coords": "POINT(1 2)"}, 404, "24.7"),
        ("position", {"coords": "POINT(25 65.7)", "z": "10"}, 400, "'z'"),
        ("position", {"coords": "POINT(25 65.7)", "parameter-name": "gold"}, 400, "mean, q95, aoa"),
        ("position", {"coords": "POINT(25 65.7)", "datetime": "1990"}, 404, "2022-01-03/2022-12-28"),
        ("position", {"coords": "POINT(25 65.7)", "f": "xml"}, 400, "GeoJSON"),
        ("position", {"coords": "MULTIPOINT(" + ",".join(["(25 65.7)"] * 501) + ")"}, 413, "500"),
        ("area", {"coords": "POLYGON((0 0,1 1,1 0,0 1,0 0))"}, 400, "valid"),
        ("area", {"coords": "POLYGON((0 0,1 0,1 1,0 0))"}, 404, "24.7"),
        ("area", {"coords": "POLYGON((24 65,26 65,26 67,24 67,24 65))"}, 413, "50000"),
        ("cube", {"bbox": "1,2,3"}, 400, "bbox"),
        ("cube", {"bbox": "1,2,3,4,5,6"}, 400, "vertical"),
        ("cube", {}, 400, "bbox is missing"),
        ("radius", {"coords": "POINT(25 65.7)"}, 400, "within"),
        ("radius", {"coords": "POINT(25 65.7)", "within": "5", "within-units": "miles"}, 400, "km"),
        ("radius", {"coords": "POINT(25 65.7)", "within": "5000", "within-units": "km"}, 413, "1000 km"),
    ],
)
def test_refusals_say_what_was_wrong(
    client: httpx.Client, kind: str, query: dict[str, str], status: int, said: str
) -> None:
    answer = client.get(f"/collections/{COLLECTION}/{kind}", params=query)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json"), answer.text
    assert said in answer.json()["detail"]


def test_other_collections_are_not_found(client: httpx.Client) -> None:
    for name in ("nothing", "models", "%2e%2e"):
        assert client.get(f"/collections/{name}/position?coords=POINT(1 2)").status_code == 404


def test_the_description_leads_to_each_query(client: httpx.Client, server: str) -> None:
    found = client.get(f"/collections/{COLLECTION}?f=json").json()
    assert set(found["data_queries"]) == set(PARAMETERS)
    link = found["data_queries"]["position"]["link"]
    assert link["href"] == f"{server}/ogc/collections/{COLLECTION}/position"
    assert link["variables"]["query_type"] == "position"
    assert found["parameter_names"]["mean"]["unit"]["symbol"]["value"] == "g/kg"
    schema = client.get(f"/collections/{COLLECTION}/coverage/schema").json()["properties"]
    for name in ("mean", "q95"):
        assert schema[name]["x-ogc-definition"].endswith("organicCarbonContent")
        assert found["parameter_names"][name]["observedProperty"]["id"] == schema[name]["x-ogc-definition"]
    assert "x-ogc-definition" not in schema["aoa"]
    assert found["parameter_names"]["aoa"]["observedProperty"]["categories"]
    assert "http://www.opengis.net/def/crs/EPSG/0/3035" in found["crs"]
    lon, lat = _lonlat(300, 300)
    for kind, each in found["data_queries"].items():
        query = {"coords": f"POINT({lon} {lat})"}
        query = {"area": {"coords": shapely.Point(lon, lat).buffer(0.001).wkt}}.get(kind, query)
        query = {"cube": {"bbox": f"{lon},{lat},{lon + 0.001},{lat + 0.001}"}}.get(kind, query)
        query |= {"within": "50", "within-units": "m"} if kind == "radius" else {}
        for name in each["link"]["variables"]["output_formats"]:
            assert client.get(each["link"]["href"], params=query | {"f": name}).status_code == 200, (kind, name)


_NUMBER = st.one_of(st.floats(-1e10, 1e10), st.integers(-200, 200), st.just("nan"), st.just("")).map(str)
_PAIR = st.tuples(_NUMBER, _NUMBER).map(" ".join)
_WKT = st.one_of(
    st.builds("POINT({})".format, _PAIR),
    st.builds("POLYGON(({},{},{},{}))".format, _PAIR, _PAIR, _PAIR, _PAIR),
    st.lists(_PAIR, max_size=3).map(lambda pairs: f"MULTIPOINT({','.join(pairs)})"),
    st.text(max_size=30),
    st.tuples(st.floats(24.7, 25.2), st.floats(65, 66)).map(lambda p: f"POINT({p[0]} {p[1]})"),
)
_VALUES = {
    "coords": _WKT,
    "bbox": st.lists(_NUMBER, min_size=3, max_size=6).map(",".join),
    "crs": st.sampled_from(["EPSG:3035", "EPSG:4326", "CRS84", "EPSG:2193", "EPSG:32635", "x"]),
    "datetime": st.sampled_from(["2022", "../2021", "2020-01-01/..", "../..", "now", "2022-13"]),
    "f": st.sampled_from(["csv", "json", "GeoJSON", "png"]),
    "within": _NUMBER,
    "within-units": st.sampled_from(["km", "m", "x"]),
    "parameter-name": st.sampled_from(["mean", "1,2", "aoa,aoa", ","]),
}


@settings(max_examples=100)
@given(st.sampled_from(sorted(PARAMETERS)), st.data())
def test_nonsense_is_never_the_servers_fault(client: httpx.Client, kind: str, data: st.DataObject) -> None:
    names = data.draw(st.lists(st.sampled_from(PARAMETERS[kind]), min_size=1, max_size=4))
    pairs = [(name, data.draw(_VALUES[name])) for name in names]
    answer = client.get(f"/collections/{COLLECTION}/{kind}?{urlencode(pairs, errors='replace')}")
    assert answer.status_code in (200, 400, 404, 413), (pairs, answer.text)


@given(st.floats(-180, 180), st.floats(-90, 90))
def test_points_are_read_as_they_were_written(x: float, y: float) -> None:
    assert parse_edr("position", [("coords", f"POINT({x!r} {y!r})")]).points == ([x], [y])
    swapped = parse_edr("position", [("coords", f"POINT({y!r} {x!r})"), ("crs", "EPSG:4326")])
    assert swapped.points == ([x], [y])


def test_answers_are_json_that_every_reader_takes(client: httpx.Client) -> None:
    lon, lat = _lonlat(5, 20)
    text = _ask(client, "position", coords=f"POINT({lon} {lat})").text
    json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))

"""OGC API Environmental Data Retrieval 1.1 (19-086r6)."""

import csv
import io
import json

import numpy as np
import pyproj
import pytest
import shapely
from covjson_pydantic.coverage import Coverage
from edr_pydantic.collections import Collection

from tests.conformance.asking import follow, link, links, problem
from tests.conformance.conftest import Service

PART = "ogcapi-edr-1/1.1"
NAME = "soc-0-20cm"
BASE = f"/collections/{NAME}"
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
LAEA = "http://www.opengis.net/def/crs/EPSG/0/3035"
KINDS = ("position", "radius", "area", "cube")
_TO_DEGREES = pyproj.Transformer.from_crs("EPSG:3035", "OGC:CRS84", always_xy=True)


def centre(service: Service, row: int, col: int) -> tuple[float, float]:
    """Easting and northing of a cell's centre."""
    return service.world.grid.affine @ (col + 0.5, row + 0.5)


def place(service: Service, row: int, col: int) -> tuple[float, float]:
    """Longitude and latitude of a cell's centre."""
    return _TO_DEGREES.transform(*centre(service, row, col))


def query(service: Service, kind: str, row: int = 300, col: int = 400) -> dict[str, str]:
    """A query of a kind around a cell."""
    lon, lat = place(service, row, col)
    box = shapely.box(lon - 0.002, lat - 0.001, lon + 0.002, lat + 0.001)
    return {
        "position": {"coords": f"POINT({lon} {lat})"},
        "radius": {"coords": f"POINT({lon} {lat})", "within": "0.1", "within-units": "km"},
        "area": {"coords": box.wkt},
        "cube": {"bbox": ",".join(map(str, box.bounds))},
    }[kind]


def stored(service: Service, row: int, col: int) -> float:
    return float(service.world.mosaic[row, col]) / 10


def covjson(service: Service, kind: str, params: dict[str, str]) -> dict:
    document = service.json(f"{BASE}/{kind}", params=params)
    Coverage.model_validate_json(json.dumps({k: v for k, v in document.items() if ":" not in k}))
    return document


def test_http(service: Service) -> None:
    """/conf/core/http: every kind of query answers GET and HEAD."""
    for kind in KINDS:
        assert service.client.head(f"{BASE}/{kind}", params=query(service, kind)).status_code == 200
        problem(service.client.put(f"{BASE}/{kind}"), 405)


def test_landing_page(service: Service) -> None:
    """/conf/core/root-op /conf/core/root-success /conf/core/api-definition /conf/core/api-definition-success
    /conf/core/conformance /conf/core/conformance-success"""
    page = service.json("/")
    for rel in ("service-desc", "conformance", "data"):
        follow(service.client, links(page, rel)[0])
    stated = service.client.get(link(page, "conformance")).json()["conformsTo"]
    assert f"http://www.opengis.net/spec/{PART}/conf/core" in stated


def test_collections(service: Service) -> None:
    """/conf/collections/rc-md-op /conf/collections/rc-md-success"""
    document = service.json("/collections")
    assert links(document, "self")
    found = {each["id"]: each for each in document["collections"] if "data_queries" in each}
    assert set(found) == {NAME, "bare-soil-composites"}


@pytest.mark.parametrize("name", [NAME, "bare-soil-composites"])
def test_collection(service: Service, name: str) -> None:
    """/conf/collections/src-md-op /conf/collections/src-md-success /conf/collections/rc-collection-info
    /conf/collections/rc-data_queries: as the standard's model has it."""
    document = service.json(f"/collections/{name}")
    names = ("id", "title", "description", "keywords", "links", "extent", "data_queries", "crs", "output_formats",
             "parameter_names")  # fmt: skip
    own = {each: document[each] for each in names}
    # What other standards add to the extent is none of the model's.
    spatial = {name: own["extent"]["spatial"][name] for name in ("bbox", "crs")}
    own["extent"] = own["extent"] | {"spatial": spatial}
    Collection.model_validate_json(json.dumps(own))
    assert set(document["data_queries"]) == set(KINDS)


def test_extent(service: Service) -> None:
    """/conf/collections/rc-md-extent: place in CRS84, every period by beginning and end."""
    extent = service.json(BASE)["extent"]
    assert extent["spatial"]["crs"] == CRS84
    assert extent["temporal"]["trs"].endswith("Gregorian")
    assert [each[:4] for each in extent["temporal"]["values"]] == ["2020", "2022"]


def test_links_of_queries(service: Service) -> None:
    """/conf/collections/rc-common-query-type /conf/collections/rc-md-query-links /conf/collections/rc-md-links"""
    document = service.json(BASE)
    assert links(document, "data")
    for kind, each in document["data_queries"].items():
        found = each["link"]
        assert found["variables"]["query_type"] == kind
        assert found["href"] == f"{service.root}/ogc{BASE}/{kind}"
        assert service.client.get(found["href"], params=query(service, kind)).status_code == 200


def test_variables(service: Service) -> None:
    """/conf/collections/rc-common-variables /conf/collections/rc-radius-variables
    /conf/collections/rc-cube-variables"""
    document = service.json(BASE)
    for kind, each in document["data_queries"].items():
        variables = each["link"]["variables"]
        assert variables["default_output_format"] in variables["output_formats"] == document["output_formats"]
        assert [details["crs"] for details in variables["crs_details"]] == document["crs"]
        for details in variables["crs_details"]:
            assert pyproj.CRS.from_wkt(details["wkt"]).equals(pyproj.CRS(details["crs"]), ignore_axis_order=True)
        if kind == "radius":
            assert variables["within_units"] == ["m", "km"]
        if kind == "cube":
            assert variables["height_units"] == []


def test_parameters_of_a_collection(service: Service) -> None:
    """/conf/collections/rc-parameters: name, unit or classes, and what is observed by its public definition."""
    document = service.json(BASE)
    fields = service.json(f"{BASE}/schema")["properties"]
    assert list(document["parameter_names"]) == list(fields)
    for name, each in document["parameter_names"].items():
        assert each["type"] == "Parameter"
        assert isinstance(each["description"], str)
        assert ("unit" in each) != ("categoryEncoding" in each), name
    observed = document["parameter_names"]["mean"]["observedProperty"]
    assert observed["id"] == fields["mean"]["x-ogc-definition"]


def test_crs_of_a_collection(service: Service) -> None:
    """/conf/collections/crs84 /conf/collections/rc-crs: CRS84 and the grid's own."""
    assert service.json(BASE)["crs"] == [CRS84, LAEA]


@pytest.mark.parametrize(("row", "col"), [(0, 60), (300, 400), (650, 1050), (799, 1099)])
def test_position(service: Service, row: int, col: int) -> None:
    """/conf/queries/position: the value of the cell that holds the point, with its interval and applicability."""
    lon, lat = place(service, row, col)
    document = covjson(service, "position", {"coords": f"POINT({lon} {lat})"})
    value = document["ranges"]["mean"]["values"][0]
    missing = service.world.mosaic[row, col] == -32768
    assert value is None if missing else value == pytest.approx(stored(service, row, col))
    assert list(document["ranges"]) == ["mean", "q95", "aoa"]
    assert document["cup4soil:statements"][0]["text"]


def test_area(service: Service) -> None:
    """/conf/queries/area: the cells whose centres it holds, the others empty; the oracle asks shapely for each."""
    x, y = centre(service, 300, 400)
    shape = shapely.Point(x, y).buffer(310)
    corners = shapely.transform(shape, lambda xy: xy[:, ::-1])
    document = covjson(service, "area", {"coords": corners.wkt, "crs": LAEA, "parameter-name": "mean"})
    rows, cols = document["ranges"]["mean"]["shape"][1:]
    axes = document["domain"]["axes"]
    values = np.array(document["ranges"]["mean"]["values"], float).reshape(rows, cols)
    xs = np.linspace(axes["x"]["start"], axes["x"]["stop"], cols)
    ys = np.linspace(axes["y"]["start"], axes["y"]["stop"], rows)
    for row, each in enumerate(ys):
        for col, other in enumerate(xs):
            inside = shape.contains(shapely.Point(other, each))
            own_col, own_row = (int(np.floor(number)) for number in ~service.world.grid.affine @ (other, each))
            assert np.isnan(values[row, col]) if not inside else values[row, col] == stored(service, own_row, own_col)


def test_cube(service: Service) -> None:
    """/conf/queries/cube: every cell that the box meets, over every period of an interval."""
    x, y = centre(service, 300, 400)
    box = f"{y - 100},{x - 200},{y + 100},{x + 200}"
    document = covjson(service, "cube", {"bbox": box, "crs": LAEA, "datetime": "2020/2022", "parameter-name": "mean"})
    assert document["ranges"]["mean"]["shape"] == [2, 11, 21]
    values = np.array(document["ranges"]["mean"]["values"]).reshape(2, 11, 21)
    np.testing.assert_allclose(values[1], service.world.mosaic[295:306, 390:411] / 10)
    np.testing.assert_allclose(values[0], service.world.older[295:306, 390:411] / 10)
    problem(service.get(f"{BASE}/cube", params={"bbox": "24,65,0,25,66,10"}), 400, "vertical")


def test_radius(service: Service) -> None:
    """/conf/queries/radius: the cells within so many metres, by either unit; the oracle measures on the ellipsoid."""
    lon, lat = place(service, 300, 400)
    metres = covjson(service, "radius", query(service, "radius") | {"within": "100", "within-units": "m"})
    document = covjson(service, "radius", query(service, "radius"))
    assert document["ranges"] == metres["ranges"]
    rows, cols = document["ranges"]["mean"]["shape"][1:]
    axes = document["domain"]["axes"]
    xs, ys = np.meshgrid(*(np.linspace(axes[n]["start"], axes[n]["stop"], k) for n, k in (("x", cols), ("y", rows))))
    lons, lats = _TO_DEGREES.transform(xs, ys)
    far = pyproj.Geod(ellps="WGS84").inv(lons, lats, np.full_like(lons, lon), np.full_like(lats, lat))[2]
    found = np.array([v is not None for v in document["ranges"]["mean"]["values"]]).reshape(rows, cols)
    clear = np.abs(far - 100) > 1
    np.testing.assert_array_equal(found[clear], (far < 100)[clear])


@pytest.mark.parametrize("kind", KINDS)
def test_queries_that_are_wrong(service: Service, kind: str) -> None:
    """/conf/queries/position /conf/queries/area /conf/queries/cube: what is missing or wrong is named with 400."""
    asked = query(service, kind)
    needed = "bbox" if kind == "cube" else "coords"
    problem(service.get(f"{BASE}/{kind}"), 400, needed)
    problem(service.get(f"{BASE}/{kind}", params=asked | {needed: "nonsense"}), 400, needed)
    problem(service.get(f"{BASE}/{kind}", params=asked | {"parameter-name": "none"}), 400, "none")
    problem(service.get(f"{BASE}/{kind}", params=asked | {"datetime": "never"}), 400, "datetime")
    problem(service.get(f"{BASE}/{kind}", params=asked | {"crs": "moon"}), 400, "crs")
    problem(service.get(f"{BASE}/{kind}", params=asked | {"f": "xml"}), 400, "f is")
    problem(service.get(f"{BASE}/{kind}", params=asked | {"z": "10"}), 400, "z")
    problem(service.get(f"{BASE}/{kind}", params=asked, headers={"Accept": "image/png"}), 406)


@pytest.mark.parametrize("kind", KINDS)
def test_choice_of_parameters_time_and_crs(service: Service, kind: str) -> None:
    """/conf/queries/position /conf/queries/area /conf/queries/cube: parameter-name, datetime, crs and f."""
    asked = query(service, kind)
    one = covjson(service, kind, asked | {"parameter-name": "q95", "datetime": "2020-06-01"})
    assert list(one["ranges"]) == list(one["parameters"]) == ["q95"]
    assert one["domain"]["axes"]["t"]["values"][0].startswith("2020")
    both = covjson(service, kind, asked | {"datetime": "2020/.."})
    assert len(both["domain"]["axes"]["t"]["values"]) == 2
    answer = service.get(f"{BASE}/{kind}", params=asked | {"crs": CRS84})
    assert answer.headers["content-crs"] == f"<{CRS84}>"
    assert answer.json()["domain"]["referencing"][0]["system"]["id"] == CRS84
    problem(service.get(f"{BASE}/{kind}", params=asked | {"datetime": "1999"}), 404, "periods")


def test_axis_order(service: Service) -> None:
    """/conf/queries/position: coordinates stand in the order of the axes of crs, northing first in EPSG:3035."""
    x, y = centre(service, 300, 400)
    document = covjson(service, "position", {"coords": f"POINT({y} {x})", "crs": LAEA})
    assert document["ranges"]["mean"]["values"] == [pytest.approx(stored(service, 300, 400))]
    lon, lat = place(service, 300, 400)
    document = covjson(service, "position", {"coords": f"POINT({lat} {lon})", "crs": "[EPSG:4326]"})
    assert document["ranges"]["mean"]["values"] == [pytest.approx(stored(service, 300, 400))]


def test_json(service: Service) -> None:
    """/conf/json/definition /conf/json/content: descriptions are JSON."""
    for path in ("/", "/conformance", "/collections", BASE):
        assert service.get(path, headers={"Accept": "application/json"}).headers["content-type"] == "application/json"


@pytest.mark.parametrize("kind", KINDS)
def test_geojson(service: Service, kind: str) -> None:
    """/conf/geojson/definition /conf/geojson/content: a feature for each value's place, in longitude and latitude."""
    for asked in ({"f": "GeoJSON"}, {}):
        headers = {} if asked else {"Accept": "application/geo+json"}
        answer = service.get(f"{BASE}/{kind}", params=query(service, kind) | asked, headers=headers)
        assert answer.headers["content-type"] == "application/geo+json"
    document = answer.json()
    assert document["type"] == "FeatureCollection"
    lon, lat = place(service, 300, 400)
    for feature in document["features"]:
        assert feature["type"] == "Feature"
        assert shapely.Point(lon, lat).distance(shapely.geometry.shape(feature["geometry"])) < 0.01
        assert {"datetime", "mean", "q95", "aoa"} <= feature["properties"].keys()
    assert document["numberReturned"] == len(document["features"])


@pytest.mark.parametrize("kind", KINDS)
def test_formats_agree(service: Service, kind: str) -> None:
    """/conf/covjson/definition /conf/covjson/content: CoverageJSON is the default, CSV has the same values."""
    answer = service.get(f"{BASE}/{kind}", params=query(service, kind))
    assert answer.headers["content-type"] == "application/prs.coverage+json"
    asked = service.get(f"{BASE}/{kind}", params=query(service, kind), headers={"Accept": "application/vnd.cov+json"})
    assert asked.json() == answer.json()
    text = service.get(f"{BASE}/{kind}", params=query(service, kind) | {"f": "CSV"}).text
    table = list(csv.DictReader(io.StringIO(text)))
    values = [each for each in answer.json()["ranges"]["mean"]["values"] if each is not None]
    assert sorted(float(row["mean (g/kg)"]) for row in table if row["mean (g/kg)"]) == sorted(values)


def test_openapi(service: Service) -> None:
    """/conf/oas30/completeness /conf/oas30/oas-impl: each query with its parameters, formats and refusals."""
    paths = service.json("/openapi")["paths"]
    for kind in KINDS:
        operation = paths[f"/collections/{{collectionId}}/{kind}"]["get"]
        names = {each.get("name", each.get("$ref", "").rpartition("/")[2]) for each in operation["parameters"]}
        assert set(query(service, kind)) | {"parameter-name", "datetime", "crs", "f"} <= names
        kinds = operation["responses"]["200"]["content"].keys()
        assert {"application/prs.coverage+json", "application/geo+json", "text/csv"} <= set(kinds)
        assert {"400", "404", "413"} <= operation["responses"].keys()

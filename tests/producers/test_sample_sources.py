"""Sources of samples on made-up rows: LUCAS, WoSIS, geographic tables, mapping files, and what each refuses."""

import csv
import json
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import geopandas
import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from shapely.geometry import LineString, Point

from cup4soil.depths import Depth
from cup4soil.errors import InvalidInput, InvalidSamples, LimitExceeded, NotFound
from cup4soil.grids import parse_crs
from cup4soil.properties import soil_property
from cup4soil.rasters.point_tables import read_points
from producers.sample_sources import sample_source
from producers.sample_sources.joining import joined
from producers.samples import TargetSpec
from producers.tables import Table

LUCAS_2018 = ["Depth", "POINTID", "pH_CaCl2", "pH_H2O", "EC", "OC", "CaCO3", "P", "N", "K", "OC (20-30 cm)",
              "CaCO3 (20-30 cm)", "Ox_Al", "Ox_Fe", "NUTS_0", "SURVEY_DATE", "Elev", "LC", "LU", "TH_LAT",
              "TH_LONG"]  # fmt: skip
LUCAS_2015 = ["Point_ID", "Coarse", "Clay", "Sand", "Silt", "pH(CaCl2)", "pH(H2O)", "EC", "OC", "CaCO3", "P", "N", "K",
              "Elevation", "NUTS_0", "LC1", "LU1", "Revisited_point"]  # fmt: skip
LUCAS_2009 = ["POINT_ID", "coarse", "clay", "silt", "sand", "pH_in_H2O", "pH_in_CaCl2", "OC", "CaCO3", "N", "P", "K",
              "CEC", "GPS_LAT", "GPS_LONG"]  # fmt: skip


def write(path: Path, header: Sequence[str], rows: Sequence[Sequence[Any]], delimiter: str = ",") -> Path:
    with path.open("w", newline="", encoding="utf-8") as stream:
        csv.writer(stream, delimiter=delimiter).writerows([header, *rows])
    return path


def lucas_2018(folder: Path, **cells: Sequence[Any]) -> Path:
    """Three points; ``cells`` gives a column other values."""
    made = {
        "Depth": ["0-20 cm"] * 3, "POINTID": [47862690, 47822688, 47982662], "pH_CaCl2": [6.6, 4.1, 7.5],
        "pH_H2O": [7.2, 4.6, 8.0], "EC": [18.5, 7.1, 22.0], "OC": [12.4, 35.0, 8.1], "CaCO3": ["< LOD", 3, 250],
        "P": ["< LOD", 30.5, 12], "N": [1.1, "< LOD", 0.9], "K": [101.9, 64, "<LOD"], "NUTS_0": ["AT"] * 3,
        "Ox_Al": ["", 1.2, ""], "Ox_Fe": ["", 2.5, ""], "TH_LAT": [47.15, 47.14, 46.9], "TH_LONG": [14.66, 14.60, 14.8],
    } | cells  # fmt: skip
    rows = [[made.get(name, [""] * 3)[i] for name in LUCAS_2018] for i in range(3)]
    return write(folder / "LUCAS-SOIL-2018.csv", LUCAS_2018, rows)


def texture(folder: Path, rows: Sequence[Sequence[Any]]) -> Path:
    return write(folder / "texture.csv", ["POINTID", "Coarse", "Clay", "Silt", "Sand", "USDA"], rows)


# LUCAS


def test_lucas_2018_is_recognised_and_read_in_our_units(tmp_path: Path) -> None:
    source = sample_source(lucas_2018(tmp_path))
    assert (source.format, source.licence) == ("lucas-2018", None)
    assert "ESDAC" in str(source.attribution)
    table, report = source.read(source.spec(["soc", "ec", "phh2o"]))
    assert table.codes == ("soc", "ec", "phh2o")
    np.testing.assert_allclose(table.values, [[12.4, 0.185, 7.2], [35.0, 0.071, 4.6], [8.1, 0.22, 8.0]])
    np.testing.assert_allclose(table.x, [14.66, 14.60, 14.8])
    assert table.ids == ("47862690", "47822688", "47982662")
    assert table.depths is not None
    assert table.depths.tolist() == [[0, 20]] * 3
    assert any("terms of LUCAS forbid" in note for note in report.notes)
    assert source.period is not None
    assert source.period.start.year == 2018


def test_what_lucas_did_not_detect_is_left_out_or_halved(tmp_path: Path) -> None:
    source = sample_source(lucas_2018(tmp_path))
    _, report = source.read(source.spec(["p"]))
    assert [(each.row, each.code) for each in report.excluded] == [(2, "below-detection")]
    for code, expected in (("p", [5.0, 30.5, 12]), ("nitrogen", [1.1, 0.1, 0.9]), ("k", [101.9, 64, 5.0])):
        table, report = source.read(source.spec([code], below_detection="half"))
        np.testing.assert_allclose(table.value, expected)
        assert report.excluded == ()
    _, report = source.read(source.spec(["caco3"], below_detection="half"))
    assert report.counts == {"below-detection": 1}


def test_lucas_depths_are_read_from_their_text(tmp_path: Path) -> None:
    source = sample_source(lucas_2018(tmp_path, Depth=["0-10 cm", "10-20 cm", "topsoil"], POINTID=[1, 1, 3],
                                      TH_LAT=[47.0] * 3, TH_LONG=[14.0] * 3))  # fmt: skip
    table, report = source.read(source.spec(["soc"]))
    assert table.ids == ("1",)
    assert table.value.tolist() == [pytest.approx((12.4 + 35.0) / 2)]
    assert [(each.row, each.code) for each in report.excluded] == [(4, "missing-depth")]


def test_texture_and_bulk_density_are_joined_by_point(tmp_path: Path) -> None:
    joins = [
        texture(tmp_path, [["47862690.0", 5, 20, 30, 50, "L"], [47822688, 5, 20, 30, 40, "L"]]),
        write(tmp_path / "BulkDensity_2018_final-2.csv", ["POINT_ID", "BD 0-10", "BD 10-20", "BD 20-30", "BD 0-20"],
              [[47862690, 1.2, 1.3, 1.4, 1.25], [99, 1, 1, 1, 1]]),
    ]  # fmt: skip
    source = sample_source(lucas_2018(tmp_path), joins=joins)
    table, report = source.read(source.spec(["clay", "silt", "sand"]))
    assert table.ids == ("47862690",)
    assert table.values.tolist() == [[20, 30, 50]]
    assert report.counts == {"missing-target": 1, "texture-sum": 1}
    assert "texture.csv: 2 of 3 rows were joined." in report.notes
    density, _ = source.read(source.spec(["soc", "bdod"]))
    assert density.values.tolist() == [[12.4, 1.25]]
    assert len(source.files) == 3


def test_what_has_to_be_joined_is_said(tmp_path: Path) -> None:
    source = sample_source(lucas_2018(tmp_path))
    with pytest.raises(NotFound, match=r"LUCAS topsoil 2018 has no property 'clay'; join the file that has it"):
        source.spec(["clay"])
    with pytest.raises(NotFound, match=r"has no property 'cec'; there are phh2o, phcacl2, soc"):
        source.spec(["cec"])
    with pytest.raises(InvalidSamples, match=r"other\.csv has nothing that LUCAS-SOIL-2018\.csv lacks"):
        sample_source(lucas_2018(tmp_path), joins=[write(tmp_path / "other.csv", ["POINTID", "a"], [[1, 2]])])
    with pytest.raises(InvalidSamples, match="no column of the points' numbers"):
        sample_source(lucas_2018(tmp_path), joins=[write(tmp_path / "x.csv", ["name", "Clay"], [[1, 2]])])


def test_a_key_with_two_answers_gives_none() -> None:
    def table(name: str, columns: tuple[str, ...], rows: tuple[tuple[str, ...], ...]) -> Table:
        numbers = tuple(range(2, 2 + len(rows)))
        return Table(name, "", "utf-8", ",", columns, numbers, rows, {}, (), len(columns))

    main = table("main", ("id", "a"), (("1", "x"), ("2", "y"), ("3", "z")))
    other = table("other", ("key", "b"), (("1", "5"), ("1", "5"), ("2", "6"), ("2", "7")))
    made, notes = joined(main, ["id"], other, ["key"], {"b": "c"})
    assert made.column("c") == ["5", "", ""]
    assert notes == [
        "other: 1 of 3 rows were joined.",
        "other: 1 keys stand there several times with differing values; none was taken.",
    ]


def test_lucas_2015_takes_its_places_from_the_shapefile(tmp_path: Path) -> None:
    rows = [[7, 3, 20, 50, 30, 6.1, 6.6, 20, 15.5, 0, 40, 1.5, 200, 300, "AT", "B11", "U111", "No"]]
    path = write(tmp_path / "LUCAS_Topsoil_2015_20200323.csv", LUCAS_2015, rows)
    with pytest.raises(InvalidSamples, match="has no coordinates; join the survey's shapefile"):
        sample_source(path)
    shapes = tmp_path / "places.shp"
    geopandas.GeoDataFrame({"Point_ID": [7, 8]}, geometry=[Point(14.5, 47.2), Point(15, 48)], crs=4326).to_file(shapes)
    source = sample_source(path, joins=[shapes])
    table, _ = source.read(source.spec(["soc", "clay", "silt", "sand", "ec"]))
    assert source.format == "lucas-2015"
    assert (table.x[0], table.y[0]) == (14.5, 47.2)
    np.testing.assert_allclose(table.values, [[15.5, 20, 30, 50, 0.2]])
    with pytest.raises(InvalidInput, match=r"LUCAS topsoil 2015 is of 0-20cm, not of 0-30cm"):
        source.spec(["soc"], depth=Depth(0, 30))


def test_lucas_2009_has_exchange_capacity_and_texture(tmp_path: Path) -> None:
    rows = [[7, 3, 20, 30, 50, 6.6, 6.1, 15.5, 1, 1.5, 40, 200, 15.2, 47.2, 14.5]]
    source = sample_source(write(tmp_path / "LUCAS_TOPSOIL_v1.csv", LUCAS_2009, rows))
    table, _ = source.read(source.spec(["cec", "phcacl2", "phh2o", "clay"]))
    assert source.format == "lucas-2009"
    assert table.values.tolist() == [[15.2, 6.1, 6.6, 20]]


# WoSIS

WOSIS = ["longitude", "latitude", "positional_uncertainty", "country_name", "profile_id", "layer_id", "upper_depth",
         "lower_depth", "value", "value_avg", "date", "licence"]  # fmt: skip


def wosis(path: Path, values: Sequence[float], licence: str = "CC-BY", delimiter: str = "\t") -> Path:
    layers = [(70, 1, 0, 20), (70, 2, 20, 60), (71, 3, 0, 30)]
    place = {70: "Circa 100 m", 71: "1 km - 10 km"}
    rows = [
        [14 + p / 100, 47, place[p], "Austria", p, layer, up, low, f"{{{v}}}", v, "", licence]
        for (p, layer, up, low), v in zip(layers, values, strict=False)
    ]  # fmt: skip
    return write(path, WOSIS, rows, delimiter)


def test_a_wosis_layer_is_recognised_by_its_columns_and_named_by_its_file(tmp_path: Path) -> None:
    source = sample_source(wosis(tmp_path / "wosis_202312_orgc.tsv", [20.0, 6.0, 11.0]))
    assert (source.format, source.codes, source.licence) == ("wosis", ("soc",), "CC-BY-4.0")
    table, report = source.read(source.spec(["soc"], depth=Depth(0, 30)))
    assert table.ids == ("70", "71")
    assert table.value.tolist() == [pytest.approx((20 * 20 + 10 * 6) / 30), 11.0]
    assert "1 rows have places known to no better than 1 km." in report.notes
    rows, _ = source.read(source.spec(["soc"], depths_as_rows=True))
    assert rows.depth_mid.tolist() == [10, 40, 15]
    assert "country_name" not in source.table.columns


def test_wosis_properties_are_joined_by_layer(tmp_path: Path) -> None:
    files = [
        wosis(tmp_path / f"wosis_202312_{code}.tsv", values)
        for code, values in (("clay", [20, 25]), ("silt", [30, 30, 30]), ("sand", [50, 45, 50]))
    ]
    source = sample_source(files[0], "wosis", joins=files[1:])
    table, report = source.read(source.spec(["clay", "silt", "sand"], depth=Depth(0, 20)))
    assert table.values.tolist() == [[20, 30, 50]]
    assert report.rows == 2
    assert list(source.files) == ["wosis_202312_clay.tsv", "wosis_202312_silt.tsv", "wosis_202312_sand.tsv"]
    with pytest.raises(NotFound, match="has no property 'soc'; join the file of that property"):
        source.spec(["soc"])
    with pytest.raises(InvalidSamples, match="is of clay, which is there already"):
        sample_source(files[0], "wosis", joins=[files[0]])


def test_the_older_form_of_wosis_names_the_property_in_its_columns(tmp_path: Path) -> None:
    header = ["X", "Y", "profile_id", "profile_layer_id", "upper_depth", "lower_depth", "phaq_value_avg"]
    source = sample_source(write(tmp_path / "ph.csv", header, [[14.5, 47, 1, 2, 0, 20, 6.4]]))
    table, report = source.read(source.spec(["phh2o"], depth=Depth(0, 20)))
    assert (table.value.tolist(), table.x.tolist()) == ([6.4], [14.5])
    assert source.licence is None
    assert any("does not tell the licence" in note for note in report.notes)


@pytest.mark.parametrize(("licence", "expected"), [("CC-BY-NC", "CC-BY-NC-4.0"), ("secret", None)])
def test_the_strictest_licence_of_the_rows_holds(tmp_path: Path, licence: str, expected: str | None) -> None:
    source = sample_source(wosis(tmp_path / "wosis_202312_orgc.tsv", [20.0, 6.0], licence))
    assert source.licence == expected
    assert licence in " ".join(source.notes)


def test_a_wosis_property_that_is_not_mapped_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidSamples, match="is of phprtn, which is not mapped"):
        sample_source(wosis(tmp_path / "wosis_202312_phprtn.tsv", [1.0]))
    with pytest.raises(InvalidSamples, match="is of an unnamed property"):
        sample_source(wosis(tmp_path / "soil.tsv", [1.0]))


def test_wosis_in_one_geopackage(tmp_path: Path) -> None:
    path = tmp_path / "wosis_202312.gpkg"
    for code, values in (("orgc", [20.0, 6.0]), ("clay", [20.0, 25.0])):
        frame = pd.DataFrame({
            "profile_id": [70, 70], "layer_id": [1, 2], "upper_depth": [0, 20], "lower_depth": [20, 60],
            "longitude": [14.0, 14.0], "latitude": [47.0, 47.0], "value_avg": values,
        })  # fmt: skip
        points = geopandas.GeoDataFrame(frame, geometry=[Point(14, 47)] * 2, crs=4326)
        points.to_file(path, layer=f"wosis_202312_{code}", driver="GPKG")
    source = sample_source(path, layer="wosis_202312_orgc", joins=[Path("wosis_202312_clay")])
    table, _ = source.read(source.spec(["soc", "clay"], depth=Depth(0, 60)))
    np.testing.assert_allclose(table.values, [[(20 * 20 + 40 * 6) / 60, (20 * 20 + 40 * 25) / 60]])
    with pytest.raises(NotFound, match="several layers; name one of wosis_202312_orgc, wosis_202312_clay"):
        sample_source(path)


# Geographic tables


def points(folder: Path, name: str, **more: Any) -> Path:
    frame = geopandas.GeoDataFrame(
        {"site": ["a", "b", "c"], "oc": [1.5, None, 2.123456789012], "count": [1, 2, 3]} | more,
        geometry=[Point(400_000, 5_800_000), Point(400_100, 5_800_000), None], crs="EPSG:25833",
    )  # fmt: skip
    path = folder / name
    if path.suffix == ".parquet":
        frame.to_parquet(path)
    else:
        frame.to_file(path)
    return path


CARBON = TargetSpec(column="oc", property=soil_property("soc"), unit="%")


@pytest.mark.parametrize("name", ["s.gpkg", "s.parquet", "s.shp", "renamed.dat"])
def test_points_bring_their_coordinates_and_crs(tmp_path: Path, name: str) -> None:
    made = points(tmp_path, "s.gpkg" if name == "renamed.dat" else name)
    path = made.rename(tmp_path / name) if name == "renamed.dat" else made
    source = sample_source(path)
    table, report = source.read(source.spec(targets=[CARBON], id="site"))
    assert table.ids == ("a",)
    assert (table.x[0], table.y[0]) == (400_000, 5_800_000)
    assert report.counts == {"missing-target": 1, "missing-coordinates": 1}
    assert [each.row for each in report.excluded] == [3, 4]
    assert source.table.column("oc")[2] == "2.123456789012"
    assert source.layout.crs == parse_crs("EPSG:25833")


def test_attributes_of_a_shapefile_count_for_its_identity(tmp_path: Path) -> None:
    path = points(tmp_path, "s.shp")
    before = sample_source(path).files
    (tmp_path / "s.dbf").write_bytes((tmp_path / "s.dbf").read_bytes().replace(b"1.5", b"1.6"))
    assert sample_source(path).files != before


def test_files_of_one_name_are_all_told(tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    density = write(tmp_path / "other" / "texture.csv", ["POINT_ID", "BD 0-20"], [[47862690, 1.25]])
    source = sample_source(lucas_2018(tmp_path), joins=[texture(tmp_path, [[47862690, 5, 20, 30, 50, "L"]]), density])
    assert list(source.files) == ["LUCAS-SOIL-2018.csv", "texture.csv", "texture.csv (2)"]


def test_a_crs_that_contradicts_the_file_is_refused(tmp_path: Path) -> None:
    source = sample_source(points(tmp_path, "s.gpkg"))
    with pytest.raises(InvalidInput, match="is in EPSG:25833, not in EPSG:4326"):
        source.spec(targets=[CARBON], crs=parse_crs("EPSG:4326"))


def test_a_file_of_points_without_crs_asks_for_one(tmp_path: Path) -> None:
    path = tmp_path / "s.parquet"
    geopandas.GeoDataFrame({"oc": [1.5]}, geometry=[Point(14, 47)]).to_parquet(path)
    source = sample_source(path)
    with pytest.raises(InvalidInput, match="does not say its crs; state --crs"):
        source.spec(targets=[CARBON])
    assert source.spec(targets=[CARBON], crs=parse_crs("EPSG:4326")).x == "x of the point"


def test_plain_parquet_is_a_table(tmp_path: Path) -> None:
    path = tmp_path / "s.parquet"
    pd.DataFrame({"lon": [14.0], "lat": [47.0], "oc": [1.5]}).to_parquet(path)
    source = sample_source(path)
    with pytest.raises(InvalidInput, match="does not say its x"):
        source.spec(targets=[CARBON])
    table, _ = source.read(source.spec(targets=[CARBON], x="lon", y="lat", crs=parse_crs("EPSG:4326")))
    assert table.value.tolist() == [15.0]


def test_what_holds_no_points_is_refused(tmp_path: Path) -> None:
    lines = geopandas.GeoDataFrame({"a": [1]}, geometry=[LineString([(0, 0), (1, 1)])], crs=4326)
    lines.to_file(tmp_path / "l.gpkg")
    with pytest.raises(InvalidSamples, match="holds a LineString where points are expected"):
        sample_source(tmp_path / "l.gpkg")
    (tmp_path / "broken.gpkg").write_bytes((tmp_path / "l.gpkg").read_bytes()[:300])
    (tmp_path / "broken.parquet").write_bytes(b"PAR1" + b"x" * 200)
    for name in ("broken.gpkg", "broken.parquet"):
        with pytest.raises(InvalidSamples, match="cannot be read"):
            sample_source(tmp_path / name)
    with sqlite3.connect(tmp_path / "plain.gpkg") as connection:
        connection.execute("create table a (x)")
    with pytest.raises(InvalidSamples, match="an SQLite database, but no GeoPackage"):
        sample_source(tmp_path / "plain.gpkg")
    with pytest.raises(NotFound, match="no samples at"):
        sample_source(tmp_path / "none.gpkg")


def test_too_many_points_are_refused_before_they_are_read(tmp_path: Path) -> None:
    for name in ("s.gpkg", "s.parquet"):
        with pytest.raises(LimitExceeded, match="has 3 rows"):
            read_points(points(tmp_path, name), max_points=2)


# Mapping files

MAPPED = {
    "title": "Field survey", "crs": "EPSG:32633", "x": "E", "y": "N", "id": "plot", "upper": "top", "lower": "bottom",
    "depth_unit": "m", "depth": "0-30", "missing": [-9999, "n.d."], "below": ["nn"],
    "properties": {
        "soc": {"column": "humus", "unit": "%", "factor": 0.58},
        "p": {"column": "P", "unit": "mg/100g", "detection_limit": 0.4},
    },
    "licence": "CC-BY-4.0", "attribution": "A survey", "sampled": "2021-03-01/2021-04-15",
}  # fmt: skip
MAPPED_ROWS = [
    ["A", 0, 0.2, 3.0, 5, 500_000, 5_800_000],
    ["A", 0.2, 0.4, 1.0, 3, 500_000, 5_800_000],
    ["B", 0, 0.3, -9999.0, 5, 500_100, 5_800_000],
    ["C", 0, 0.3, 2.0, "NN", 500_200, 5_800_000],
]


def mapped(folder: Path, said: dict[str, Any], name: str = "map.json") -> tuple[Path, Path]:
    (folder / name).write_text(json.dumps(said), encoding="utf-8")
    samples = write(folder / "s.csv", ["plot", "top", "bottom", "humus", "P", "E", "N"], MAPPED_ROWS)
    return samples, folder / name


@pytest.mark.parametrize("name", ["map.json", "map.yaml"])
def test_a_mapping_says_all_that_is_needed(tmp_path: Path, name: str) -> None:
    """JSON is YAML."""
    samples, path = mapped(tmp_path, MAPPED, name)
    source = sample_source(samples, mapping=path)
    assert (source.format, source.licence, source.attribution) == ("mapping", "CC-BY-4.0", "A survey")
    assert source.period is not None
    assert (source.period.start.month, source.period.end.day) == (3, 15)
    assert set(source.files) == {"s.csv", name}
    table, report = source.read(source.spec(["soc"]))
    assert dict(zip(table.ids, table.value.tolist(), strict=True)) == {
        "A": pytest.approx((20 * 30 + 10 * 10) / 30 * 0.58), "C": pytest.approx(11.6),
    }  # fmt: skip
    assert [(each.row, each.code) for each in report.excluded] == [(4, "missing-target")]
    table, _ = source.read(source.spec(["p"], below_detection="half"))
    assert table.value[table.ids.index("C")] == pytest.approx(2.0)
    table, _ = source.read(source.spec(["p"], depth=Depth(0, 20)))
    assert table.value[table.ids.index("A")] == 50.0


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"propertys": {}}, r"map\.json: propertys: Extra inputs are not permitted"),
        ({"properties": {}}, r"map\.json: properties: .*at least 1 item"),
        ({"properties": {"soc": {"column": "humus"}}}, r"map\.json: properties\.soc\.unit: Field required"),
        ({"properties": {"soc": {"column": "humus", "unit": "t/ha"}}}, r"map\.json: soc cannot be given in 't/ha'"),
        ({"properties": {"carbon": {"column": "humus", "unit": "%"}}}, r"map\.json: no soil property 'carbon'"),
        ({"properties": {"soc": {"column": "humus", "unit": "%", "factor": -1}}}, r"factor: .*greater than 0"),
        ({"crs": "EPSG:nowhere"}, r"map\.json: .*EPSG:nowhere"),
        ({"depth": "20-0"}, r"map\.json: depth 20-0 cm is no interval"),
        ({"upper": None}, r"map\.json: only one of upper and lower"),
        ({"x": None}, r"map\.json: only one of x and y"),
        ({"sampled": "2021-04-01/2021-03-01"}, r"map\.json: .*ends before it starts"),
        ({"depth_unit": "feet"}, r"map\.json: depth_unit"),
        ({"id": "name"}, r"s\.csv has no column 'name'; there are plot"),
    ],
)
def test_a_mapping_that_cannot_be_is_refused_with_the_entry(
    tmp_path: Path, change: dict[str, Any], message: str
) -> None:
    samples, path = mapped(tmp_path, MAPPED | change)
    with pytest.raises(InvalidInput, match=message):
        sample_source(samples, mapping=path)


@pytest.mark.parametrize(
    "text", ["{", "a: [1", "", "7", "a: &a [x]\nb: [*a, *a]", "!!python/object/apply:os.getcwd []", "\ufeff\u0000"]
)
def test_what_is_no_mapping_is_refused(tmp_path: Path, text: str) -> None:
    samples, path = mapped(tmp_path, MAPPED, "map.yaml")
    path.write_text(text, encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"map\.yaml"):
        sample_source(samples, mapping=path)


def test_a_constant_depth_and_the_points_of_the_file(tmp_path: Path) -> None:
    said = {"depth": "0-20", "properties": {"soc": {"column": "oc", "unit": "%"}}}
    path = tmp_path / "map.yaml"
    path.write_text(json.dumps(said), encoding="utf-8")
    source = sample_source(points(tmp_path, "s.gpkg"), mapping=path)
    table, _ = source.read(source.spec(["soc"]))
    assert table.depths is not None
    assert table.depths.tolist() == [[0, 20]]
    with pytest.raises(InvalidInput, match="is of 0-20cm, not of 0-30cm; ask for 0-20cm"):
        source.spec(["soc"], depth=Depth(0, 30))
    path.write_text(json.dumps(said | {"crs": "EPSG:3035"}), encoding="utf-8")
    with pytest.raises(InvalidInput, match=r"is in EPSG:25833, not in EPSG:3035"):
        sample_source(tmp_path / "s.gpkg", mapping=path)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"format": "excel"}, "format 'excel' of samples is not known; use one of auto"),
        ({"format": "mapping"}, "has no mapping"),
        ({"format": "wosis", "mapping": Path("m.yaml")}, "does not go with the format 'wosis'"),
        ({"layer": "a"}, "has no layers"),
        ({"joins": [Path("a.csv")]}, "a plain table takes no further tables"),
        ({"mapping": Path("none.yaml")}, "no mapping at none.yaml"),
        ({"format": "lucas-2018"}, "has no column 'POINTID'"),
        ({"format": "wosis"}, "is of an unnamed property|has no column"),
    ],
)
def test_requests_that_do_not_fit_are_refused(tmp_path: Path, given: dict[str, Any], message: str) -> None:
    path = write(tmp_path / "s.csv", ["a", "b"], [[1, 2]])
    with pytest.raises(InvalidInput, match=message):
        sample_source(path, **given)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    cell=st.one_of(
        st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=12),
        st.floats(allow_nan=True),
        st.integers(),
    )
)
def test_whatever_a_cell_holds_each_row_is_used_or_told(tmp_path: Path, cell: object) -> None:
    cells = {name: [1.0, cell, 2.0] for name in ("OC", "pH_H2O", "Depth")}
    source = sample_source(lucas_2018(tmp_path, **cells), "lucas-2018")
    table, report = source.read(source.spec(["soc", "phh2o"]))
    assert report.used_rows + report.outside_interval_rows + len(report.excluded) == report.rows
    assert np.isfinite(table.values).all()


def test_the_real_augers_are_read_through_a_mapping(shared_data: Path, tmp_path: Path) -> None:
    said = {
        "crs": 31467, "x": "X", "y": "Y", "id": "ID", "upper": "UHDICM_A", "lower": "LHDICM_A",
        "texture": ["SNDMHT_A", "SLTMHT_A", "CLYMHT_A"], "depth": "0-10",
        "properties": {
            code: {"column": f"{name}MHT_A", "unit": "%"}
            for code, name in (("clay", "CLY"), ("silt", "SLT"), ("sand", "SND"))
        },
    }  # fmt: skip
    path = tmp_path / "eberg.json"
    path.write_text(json.dumps(said | {"crs": "EPSG:31467"}), encoding="utf-8")
    source = sample_source(shared_data / "eberg" / "eberg.csv", mapping=path)
    table, report = source.read(source.spec(["clay", "silt", "sand"], texture_tolerance=5.0))
    assert report.rows == 3670
    assert report.used_rows + report.outside_interval_rows + len(report.excluded) == report.rows
    assert len(table) > 2000
    np.testing.assert_allclose(table.values.sum(axis=1), 100, atol=5)


def test_the_mapping_in_the_documents_is_one(tmp_path: Path) -> None:
    document = (Path(__file__).resolve().parents[2] / "docs" / "samples.md").read_text(encoding="utf-8")
    path = tmp_path / "field.yaml"
    path.write_text(document.split("```yaml")[1].split("```")[0], encoding="utf-8")
    header = ["plot", "top", "bottom", "humus", "P_CAL", "T", "U", "S", "easting", "northing"]
    samples = write(tmp_path / "s.csv", header, [["A", 0, 0.2, 2, "nn", 20, 30, 50, 400_000, 5_800_000]])
    source = sample_source(samples, mapping=path)
    table, _ = source.read(source.spec(["soc", "p", "clay", "silt", "sand"], depth=Depth(0, 20)))
    np.testing.assert_allclose(table.values, [[11.6, 2.0, 20, 30, 50]])
    named = document.split("## Properties and units")[1].split("## Checks")[0].splitlines()
    codes = [code for line in named if line.startswith("| ") for code in line.split("|")[1].strip().split(", ")]
    assert {soil_property(code).code for code in codes[1:]} == set(codes[1:])
    assert len(codes) > 30


def test_a_table_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = lucas_2018(tmp_path)
    monkeypatch.setattr("producers.tables.MAX_TABLE_BYTES", 100)
    with pytest.raises(LimitExceeded, match=r"LUCAS-SOIL-2018\.csv is larger than 0 MiB"):
        sample_source(path)

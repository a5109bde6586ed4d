"""``cup4soil samples``: what it tells, to a reader and to a program."""

import csv
import json
from pathlib import Path
from typing import Any

import pytest

from service.cli import run

ROWS = [f"P{i},0,20,{1 + i / 50},{500_000 + 100 * i},5800000" for i in range(40)]
BAD = ["A,20,0,1.5,500000,5800000", "B,0,20,x,500000,5800000", "C,0,20,99,500000,5800000"]
PLAIN = ["--column", "soc=oc,%", "--id", "site", "--upper", "upper", "--lower", "lower", "--depth", "0-20",
         "--x", "x", "--y", "y", "--crs", "EPSG:32633"]  # fmt: skip


@pytest.fixture
def table(tmp_path: Path) -> str:
    path = tmp_path / "s.csv"
    path.write_text("\n".join(["site,upper,lower,oc,x,y", *ROWS, *BAD]) + "\n", encoding="utf-8")
    return str(path)


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:
    assert run(["samples", *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_without_a_property_it_says_what_the_file_holds(table: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["samples", table]) == 0
    out = capsys.readouterr().out
    assert "rows: 43" in out
    assert "columns: site, upper, lower, oc, x, y" in out
    assert "name them with --column or a mapping file" in out
    assert told(capsys, table)["properties"] == {}


def test_every_rejected_row_is_printed_with_its_reason(table: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["samples", table, *PLAIN]) == 0
    out = capsys.readouterr().out
    assert "samples: 40 of 40 profiles, from 40 of 43 rows" in out
    assert "soc: 10.0 to 17.8 g/kg, median 13.9" in out
    assert "row 42: inverted-depth: horizon 20-0 cm is upside down" in out
    assert "row 43: not-a-number: oc is 'x', no number" in out
    assert "row 44: out-of-range" in out


def test_a_program_gets_all_rows(table: str, capsys: pytest.CaptureFixture[str]) -> None:
    found = told(capsys, table, *PLAIN)["result"]
    assert found["samples"] == 40
    assert found["figures"]["soc"] == {
        "unit": "g/kg", "min": 10.0, "q25": 11.95, "median": 13.9, "q75": 15.85, "max": 17.8
    }  # fmt: skip
    assert [each["row"] for each in found["rejected"]] == [42, 43, 44]
    assert set(found["reasons"]) == {"not-a-number", "inverted-depth", "out-of-range"}


@pytest.mark.parametrize("name", ["rows.csv", "rows.json"])
def test_the_rejected_rows_are_written(
    table: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    path = tmp_path / name
    assert run(["samples", table, *PLAIN, "--rows", "1", "--report", str(path)]) == 0
    assert f"and 2 more; all are in {path}" in capsys.readouterr().out
    text = path.read_text(encoding="utf-8")
    rows = json.loads(text) if name.endswith("json") else list(csv.DictReader(text.splitlines()))
    assert [int(row["row"]) for row in rows] == [42, 43, 44]
    assert rows[1]["message"] == "oc is 'x', no number"


def test_a_mapping_file_and_joint_properties(table: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = {
        "crs": "EPSG:32633", "x": "x", "y": "y", "id": "site", "upper": "upper", "lower": "lower",
        "properties": {"soc": {"column": "oc", "unit": "%"}, "som": {"column": "oc", "unit": "%", "factor": 1.724}},
    }  # fmt: skip
    mapping = tmp_path / "map.json"
    mapping.write_text(json.dumps(said), encoding="utf-8")
    source = [table, "--mapping", str(mapping)]
    assert told(capsys, *source)["properties"] == {"soc": "oc (%)", "som": "oc (%)"}
    joint = told(capsys, *source, "--property", "soc", "--property", "som", "--depth", "0-20", "--harmonise", "spline")
    figures = joint["result"]["figures"]
    assert figures["som"]["max"] == pytest.approx(1.724 * figures["soc"]["max"])
    rows = told(capsys, *source, "--property", "soc", "--by-horizon")
    assert rows["result"]["samples"] == 40


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--property", "soc"], "has no property 'soc'; there are none that are known"),
        (["--column", "soc"], "--column 'soc' is no column"),
        (["--column", "carbon=oc,%"], "no soil property 'carbon'"),
        (["--column", "soc=oc,t/ha", "--x", "x", "--y", "y", "--crs", "EPSG:32633"], "soc cannot be given in 't/ha'"),
        (["--column", "soc=oc,%"], "does not say its x"),
        ([*PLAIN, "--report", "rows.txt"], "cannot be written as 'rows.txt'; name it .csv or .json"),
        (["--report", "rows.csv"], "there are no rejected rows before a property is read"),
        (["--mapping", "none.yaml"], "no mapping at none.yaml"),
        (["--format", "wosis"], "s.csv"),
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_said(
    table: str, capsys: pytest.CaptureFixture[str], more: list[str], message: str
) -> None:
    assert run(["samples", table, *more]) == 1
    error = capsys.readouterr().err
    assert error.startswith("cup4soil: error: ")
    assert message in error
    assert error.count("\n") == 1

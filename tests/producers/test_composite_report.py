"""The quality report of a composite: its figures against brute force, its page, its verdict."""

import base64
import io
import json
import re
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path

import lxml.html
import numpy as np
import pytest
from affine import Affine
from odc.geo.geobox import GeoBox
from PIL import Image
from playwright.sync_api import sync_playwright

from cup4soil.errors import NotFound
from cup4soil.grids import Window, blocks
from cup4soil.products import Period
from cup4soil.rasters.writing import LayerWriter
from producers.composite_checks import Check, ci95_coverage, judge, percent
from producers.composite_layers import LAYERS, NODATA
from producers.composite_maps import MAP_CELLS, MASK_COLOURS, MISSING_COLOUR, maps
from producers.composite_report import (
    BrokenScene,
    ReportFacts,
    months_of,
    worst_scenes,
    write_composite_report,
)
from producers.composite_summary import INDEX_NODATA, CompositeSummary, Histogram, find_valley

DOCS = Path(__file__).resolve().parents[2] / "docs" / "composite-report.md"
CHROMIUM = Path("/usr/bin/chromium")
ROWS, COLS = 60, 90
GRID = GeoBox((ROWS, COLS), Affine(20, 0, 4_200_000, 0, -20, 3_000_000), "EPSG:3035")
T = 0.15


def suite(seed: int = 0, rows: int = ROWS, cols: int = COLS) -> dict[str, np.ndarray]:
    """Encoded layers with cells outside, unseen, rarely bare and covered by land cover."""
    rng = np.random.default_rng(seed)
    shape = (rows, cols)
    outside, unseen = rng.random(shape) < 0.1, rng.random(shape) < 0.1
    monthly = rng.integers(0, 5, (12, *shape))
    monthly[[0, 11]] = 0
    monthly[:, unseen] = 0
    vpc = monthly.sum(axis=0)
    bare_monthly = rng.binomial(monthly, rng.choice([0.0, 0.05, 0.4], shape))
    bsc = bare_monthly.sum(axis=0)
    shares = bare_monthly / np.maximum(monthly, 1)
    suspects = rng.binomial(2, 0.1, (2, *shape))
    mask = np.select([vpc == 0, bsc >= 3, bsc > 0], [0, 1, 4], 2)
    mask[rng.random(shape) < 0.05] = 3
    src = rng.integers(500, 4000, (10, *shape))
    lowest = rng.choice([-0.05, 0.15, 0.6], shape) + rng.normal(0, 0.08, shape)
    layers = {
        "SRC": np.where(bsc >= 3, src, NODATA),
        "SRC-CI95": np.where(bsc >= 3, src // 10, NODATA),
        "SFREQ": np.where(vpc > 0, [np.rint(bsc / np.maximum(vpc, 1) * 1e4), bsc, vpc], NODATA),
        "SFREQ-MONTHLY": np.where(monthly > 0, np.rint(shares * 1e4), NODATA),
        "MASK": mask[np.newaxis],
        "INDEX": np.where(vpc > 0, np.rint([lowest * 1e4, (lowest + 1) * 1e4]), INDEX_NODATA),
        "VPC-MONTHLY": np.where(vpc > 0, monthly, NODATA),
        "SUSPECTS": np.where(vpc > 0, suspects, NODATA),
    }
    return {
        name: np.where(outside, INDEX_NODATA if name == "INDEX" else NODATA, values).astype(np.int16)
        for name, values in layers.items()
    }


def counted(stored, edge=32, threshold=T):
    summary = CompositeSummary()
    for window in blocks(stored["MASK"].shape[1:], edge):
        summary.add({name: values[(slice(None), *window.slices)] for name, values in stored.items()}, threshold)
    return summary


def facts(**more) -> ReportFacts:
    given = {
        "product": "composite-1",
        "title": "Bare <soil> & more",
        "period": Period(start=datetime(2019, 1, 1, tzinfo=UTC), end=datetime(2021, 12, 31, tzinfo=UTC)),
        "tile": "0042-0030",
        "grid": GRID,
        "scenes_used": 40,
        "threshold": "0.15",
        "test": "pvir2",
        "licence": "CC-BY-4.0",
        "software": "cup4soil 0",
    }
    return ReportFacts(**(given | more))


FULL = facts(
    scenes_rejected={"too cloudy": 12},
    broken_scenes={"S2A_<X>": BrokenScene("B08.tif cannot be read", 3)},
    references=("Heiden 2022",),
    attribution=("Contains modified Copernicus Sentinel data",),
    separability={"bare at some time": 0.11},
    suspect_scenes={"hazy": (1000, 900), "clear": (100_000, 10)},
    simulated=True,
)


def written(folder: Path, stored, report_facts=FULL, grid=GRID, leave_out=()):
    folder.mkdir(parents=True, exist_ok=True)
    stored = {name: values for name, values in stored.items() if name not in leave_out}
    for name in sorted({"SRC", "SRC-CI95", "SFREQ", "MASK"} & stored.keys()):
        with LayerWriter(folder, LAYERS[name], grid) as writer:
            writer.write(Window(0, 0, *grid.shape), stored[name])
    documents = write_composite_report(folder, counted(stored), report_facts)
    text = (folder / "report.json").read_text()
    return documents, json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} in JSON"))


@pytest.fixture(scope="module")
def stored():
    return suite()


@pytest.fixture(scope="module")
def report(tmp_path_factory, stored):
    folder = tmp_path_factory.mktemp("report") / "product"
    documents, document = written(folder, stored)
    return folder, documents, document


def test_figures_equal_brute_force(report, stored):
    document = report[2]
    mask, (_, bsc, vpc) = stored["MASK"][0], stored["SFREQ"].astype(float)
    inside, seen, composited = mask != NODATA, vpc > 0, mask == 1
    cells = document["cells"]
    assert cells["inside"] == inside.sum()
    assert cells["observed"] == seen.sum() < inside.sum()
    assert cells["composited"] == composited.sum()
    assert cells["by_class"] == {str(code): (mask == code).sum() for code in range(5)}
    assert cells["composited_share"] == pytest.approx(composited.sum() / seen.sum(), abs=1e-6)
    assert cells["composited_from_fewer_than"] == {str(n): (bsc[composited] < n).sum() for n in (5, 10)}
    assert document["observations"]["valid"] == vpc[seen].sum()
    assert document["observations"]["bare"] == bsc[seen].sum()
    median = np.quantile(bsc[composited], 0.5, method="inverted_cdf")
    assert document["observations"]["bare_per_composited_cell_median"] == median
    dropped = [band[band != NODATA].sum() for band in stored["SUSPECTS"]]
    assert document["suspects"]["valid"]["dropped"] == dropped[0]
    assert document["suspects"]["valid"]["share"] == pytest.approx(dropped[0] / vpc[seen].sum(), abs=1e-6)
    assert document["suspects"]["bare"]["share"] == pytest.approx(dropped[1] / (bsc[seen].sum() + dropped[1]), abs=1e-6)


def test_months_equal_brute_force(report, stored):
    seen = stored["SFREQ"][2] > 0
    valid = np.where(stored["VPC-MONTHLY"] > 0, stored["VPC-MONTHLY"], 0).astype(float)
    bare = np.where(stored["SFREQ-MONTHLY"] > 0, stored["SFREQ-MONTHLY"] / 1e4, 0) * valid
    months = report[2]["observations"]["by_month"]
    assert [month["month"] for month in months] == list(range(1, 13))
    assert [month["valid"] for month in months] == valid.sum(axis=(1, 2)).tolist()
    for month, bare_sum, valid_sum in zip(months, bare.sum(axis=(1, 2)), valid.sum(axis=(1, 2)), strict=True):
        assert month["bare"] == pytest.approx(bare_sum, abs=0.1)
        assert month["valid_per_cell"] == pytest.approx(valid_sum / seen.sum(), abs=1e-6)
    assert months[0]["bare_share"] is None
    assert sum(month["bare"] for month in months) == report[2]["observations"]["bare"]
    assert report[2]["observations"]["thin_months"] == [1, 12]


def test_reflectance_and_threshold_equal_brute_force(report, stored):
    red, width = (stored[name][2].astype(float) / 1e4 for name in ("SRC", "SRC-CI95"))
    there = red >= 0
    figures = report[2]["reflectance"]["bands"]["B04"]
    assert figures["mean"] == pytest.approx(red[there].mean(), abs=1e-6)
    assert figures["ci95_mean"] == pytest.approx(width[there].mean(), abs=1e-6)
    assert figures["ci95_relative"] == pytest.approx(width[there].mean() / red[there].mean(), abs=1e-5)
    lowest = stored["INDEX"][0]
    known = lowest != INDEX_NODATA
    near = np.abs(lowest[known].astype(int) - 1500) <= 500
    assert report[2]["separability"]["near_threshold_share"] == pytest.approx(near.mean(), abs=1e-6)


@pytest.mark.parametrize(("name", "layer", "band"), [("VPC", "SFREQ", 2), ("BSF", "SFREQ", 0), ("IMAX", "INDEX", 1)])
def test_histograms_hold_every_cell_in_its_bin(report, stored, name, layer, band):
    found = report[2]["histograms"][name]
    values = stored[layer][band]
    scale = 1 if name == "VPC" else 1e-4
    values = values[values != (INDEX_NODATA if layer == "INDEX" else NODATA)].astype(np.int64)
    edges = np.rint(np.array(found["bin_edges"]) / scale).astype(np.int64)
    expected = [((values >= low) & (values < high)).sum() for low, high in pairwise(edges)]
    assert found["cells"] == expected
    assert sum(found["cells"]) == values.size
    assert found["p50"] == pytest.approx(np.quantile(values, 0.5, method="inverted_cdf") * scale, abs=1e-6)
    assert found["mean"] == pytest.approx(values.mean() * scale, abs=1e-6)


def test_the_cut_into_blocks_does_not_matter(stored):
    whole, parts = counted(stored, 1000), counted(stored, 7)
    assert whole.classes == parts.classes
    assert np.array_equal(whole.bare_by_month, parts.bare_by_month)
    assert whole.near_threshold_share == parts.near_threshold_share
    assert whole.valley == parts.valley
    assert [h.mean for h in whole.ci95.values()] == [h.mean for h in parts.ci95.values()]


def test_the_threshold_may_be_a_surface_with_gaps(stored):
    surface = np.full((ROWS, COLS), T)
    surface[:, COLS // 2 :] = np.nan
    half = {name: values[:, :, : COLS // 2] for name, values in stored.items()}
    summary = CompositeSummary()
    summary.add(stored, surface)
    assert summary.near_threshold_share == counted(half).near_threshold_share
    assert summary.threshold_range == pytest.approx((T, T, T))


def test_the_limit_itself_is_near_the_threshold():
    cells = {name: values[:, :2, :2] for name, values in suite().items()}
    cells["INDEX"] = np.array([[[999, 1000], [2000, 2001]]] * 2, dtype=np.int16)
    summary = CompositeSummary()
    summary.add(cells, T)
    assert summary.near_threshold_share == 0.5


def test_memory_does_not_grow_with_the_cells(stored):
    summary = CompositeSummary()
    for _ in range(3):
        summary.add(stored, T)
    histograms = [*summary.histograms.values(), summary.bare_counts, *summary.reflectance.values()]
    histograms += summary.ci95.values()
    assert sum(histogram._counts.nbytes for histogram in histograms) < 15 * 2**20
    assert summary.inside == 3 * counted(stored).inside


def test_blocks_that_do_not_fit_are_refused(stored):
    with pytest.raises(ValueError, match="without SFREQ"):
        CompositeSummary().add({"MASK": stored["MASK"]})
    summary = CompositeSummary()
    summary.add(stored)
    with pytest.raises(ValueError, match="after blocks of"):
        summary.add({name: stored[name] for name in ("MASK", "SFREQ")})


def index_histogram(*parts):
    rng = np.random.default_rng(1)
    histogram = Histogram(1e-4)
    for mean, spread, n in parts:
        histogram.add(np.rint(rng.normal(mean, spread, n) * 1e4).astype(np.int16), INDEX_NODATA)
    return histogram


def test_the_valley_lies_where_two_normal_modes_meet():
    valley = find_valley(index_histogram((0.0, 0.08, 20_000), (0.8, 0.08, 20_000)))
    assert valley is not None
    assert valley.index == pytest.approx(0.4, abs=0.06)
    assert valley.modes == pytest.approx((0.0, 0.8), abs=0.03)
    assert valley.depth > 0.95
    shallow = find_valley(index_histogram((0.0, 0.1, 20_000), (0.3, 0.1, 20_000)))
    assert shallow is not None
    assert shallow.index == pytest.approx(0.15, abs=0.03)
    assert shallow.depth < 0.6


def test_one_mode_has_no_valley():
    assert find_valley(index_histogram((0.3, 0.2, 50_000))) is None
    assert find_valley(Histogram(1e-4)) is None


def test_every_key_of_the_report_is_documented(report):
    text = DOCS.read_text()
    documented = set(re.findall(r"`([^`]+)`", text))

    def keys(value, path=""):
        """Paths of all keys; what is keyed by data (bands, classes, scenes, ...) stands as *."""
        if isinstance(value, list):
            for each in value:
                yield from keys(each, f"{path}[]")
        elif isinstance(value, dict):
            for key, each in value.items():
                free = path in (
                    "cells.by_class", "cells.composited_from_fewer_than", "reflectance.bands", "scenes.rejected",
                    "scenes.broken", "separability.hiset", "verdict.checks", "histograms",
                )  # fmt: skip
                yield from keys(each, f"{path}.{'*' if free else key}".lstrip("."))
        else:
            yield path.removesuffix("[]")

    assert not set(keys(report[2])) - documented
    assert set(report[2]["verdict"]["checks"]) <= documented
    assert set(report[2]["histograms"]) <= documented


def page_of(folder):
    return lxml.html.fromstring((folder / "report.html").read_text())


def test_the_page_needs_nothing_from_elsewhere(report):
    folder, documents, _ = report
    page = page_of(folder)
    links = [v for e in page.iter() for k, v in e.attrib.items() if k in ("src", "href", "xlink:href", "data")]
    assert all(link.startswith(("#", "data:image/")) for link in links)
    assert not page.xpath("//script | //link | //iframe")
    assert not re.search(r"url\((?!#)|@import", (folder / "report.html").read_text())
    assert [document.file for document in documents] == ["report.json", "report.html"]
    assert {document.roles for document in documents} == {("metadata", "quality-report")}


def test_the_page_tells_the_answer_and_what_was_given(report):
    text = page_of(report[0]).text_content()
    assert "Is this composite good enough?" in text
    for told in (
        "Bare <soil> & more", "0042-0030", "S2A_<X>", "B08.tif cannot be read", "too cloudy", "Heiden 2022", "hazy",
        "CC-BY-4.0", "shows no real place", "January, December", report[2]["verdict"]["answer"],
    ):  # fmt: skip
        assert told in text
    assert "nan" not in text.lower().split()


def picture(source):
    kind, data = re.fullmatch(r"data:image/(\w+);base64,(.+)", source).groups()
    return kind, np.asarray(Image.open(io.BytesIO(base64.b64decode(data))).convert("RGB"))


def test_maps_show_the_cells(report, stored):
    shown = {each.title.split(" (")[0]: each for each in maps(report[0], frozenset(stored))}
    assert len(shown) == 6
    _, mask = picture(shown["Surface mask"].source)
    colours = MASK_COLOURS | {NODATA: MISSING_COLOUR}
    expected = [[[int(colours[code][i : i + 2], 16) for i in (1, 3, 5)] for code in row] for row in stored["MASK"][0]]
    assert np.array_equal(mask, np.array(expected))
    _, valid = picture(shown["Valid observations"].source)
    missing = np.array([int(MISSING_COLOUR[i : i + 2], 16) for i in (1, 3, 5)])
    assert np.array_equal((valid == missing).all(axis=-1), stored["SFREQ"][2] == NODATA)
    brightness = valid.astype(float) @ (0.3, 0.6, 0.1)
    vpc = stored["SFREQ"][2]
    low, high = np.percentile(vpc[vpc > 0], (10, 90))
    assert brightness[vpc > high].min() > brightness[(vpc > 0) & (vpc < low)].max()
    kind, colour = picture(shown["Bare-soil reflectance, true colour"].source)
    assert kind == "png"
    assert np.array_equal((colour == missing).all(axis=-1), stored["SRC"][0] == NODATA)


def test_a_large_map_is_a_small_picture(tmp_path):
    grid = GeoBox((700, 1100), Affine(20, 0, 4_200_000, 0, -20, 3_000_000), "EPSG:3035")
    large = suite(rows=700, cols=1100)
    written(tmp_path / "large", large, facts(grid=grid), grid)
    for each in maps(tmp_path / "large", frozenset(large)):
        _, pixels = picture(each.source)
        assert pixels.shape[:2] == (each.height, each.width) == (305, MAP_CELLS)
    assert (tmp_path / "large" / "report.html").stat().st_size < 2 * 2**20


def test_layers_that_were_not_made_are_told_as_unknown(stored, tmp_path):
    missing = ("INDEX", "SUSPECTS", "VPC-MONTHLY", "SRC-CI95")
    _, document = written(tmp_path / "a", stored, facts(), leave_out=missing)
    assert document["suspects"] is None
    assert document["observations"]["by_month"] is document["observations"]["thin_months"] is None
    assert not {"IMIN", "IMAX", "SUSPECTS"} & document["histograms"].keys()
    levels = {name: check["level"] for name, check in document["verdict"]["checks"].items()}
    assert {name for name, level in levels.items() if level == "unknown"} == {
        "ci95", "thin-months", "suspects", "near-threshold",
    }  # fmt: skip
    assert "not known" in page_of(tmp_path / "a").text_content()


def test_a_tile_without_any_observation_still_has_a_report(stored, tmp_path):
    empty = {name: np.full_like(values, INDEX_NODATA if name == "INDEX" else NODATA) for name, values in stored.items()}
    empty["MASK"] = np.zeros_like(stored["MASK"])
    _, document = written(tmp_path / "a", empty, facts())
    assert document["verdict"]["answer"].startswith("No:")
    assert document["cells"]["observed"] == 0
    assert document["cells"]["composited_share"] is None
    assert document["histograms"]["VPC"]["cells"] == []


def test_a_missing_layer_file_is_named(stored, tmp_path):
    written(tmp_path / "a", stored)
    (tmp_path / "a" / "MASK.tif").unlink()
    with pytest.raises(NotFound, match=r"MASK\.tif"):
        write_composite_report(tmp_path / "a", counted(stored), FULL)


def test_a_report_of_nothing_is_a_mistake_of_the_caller(tmp_path):
    with pytest.raises(ValueError, match="no blocks"):
        write_composite_report(tmp_path, CompositeSummary(), FULL)


def test_the_same_figures_give_the_same_files(report, stored, tmp_path):
    written(tmp_path / "again", stored)
    for name in ("report.json", "report.html"):
        assert (tmp_path / "again" / name).read_bytes() == (report[0] / name).read_bytes()


@pytest.mark.parametrize(
    ("value", "at_least", "level"),
    [
        (None, False, "unknown"), (0.1, False, "good"), (0.11, False, "fair"), (0.2, False, "fair"),
        (0.21, False, "poor"), (10, True, "good"), (0.1, True, "poor"),
    ],
)  # fmt: skip
def test_limits_belong_to_the_better_side(value, at_least, level):
    good, fair = (10, 5) if at_least else (0.1, 0.2)
    assert Check("x", "X", value, good, fair, "", at_least=at_least).level == level


def test_the_verdict_is_as_good_as_its_worst_ground(stored):
    summary = counted(stored)
    months = range(2, 12)
    before = {check.name: check.level for check in judge(summary, months, 40, 0).checks}
    assert (before["thin-months"], before["broken-scenes"]) == ("good", "good")
    assert judge(summary, months, 40, 3).level == "poor"
    hiset = {check.name: check.level for check in judge(summary, months, 40, 0, {"a": 0.1, "b": 0.3}).checks}["hiset"]
    assert hiset == "poor"


def test_true_coverage_of_the_interval_equals_simulation():
    rng = np.random.default_rng(4)
    for n in (3, 6, 12):
        values = rng.normal(size=(100_000, n))
        inside = np.abs(values.mean(axis=1)) <= 1.96 * values.std(axis=1, ddof=1) / np.sqrt(n)
        assert ci95_coverage(n) == pytest.approx(inside.mean(), abs=0.006)


@pytest.mark.parametrize(
    ("start", "end", "months"),
    [
        ("2019-01-01", "2021-12-31", range(1, 13)),
        ("2020-03-05", "2020-05-01", (3, 4, 5)),
        ("2020-11-30", "2021-02-01", (1, 2, 11, 12)),
        ("2020-06-15", "2021-06-14", range(1, 13)),
        ("2020-06-15", "2020-06-15", (6,)),
    ],
)
def test_months_of_a_period(start, end, months):
    period = Period(start=datetime.fromisoformat(f"{start}T00:00Z"), end=datetime.fromisoformat(f"{end}T00:00Z"))
    assert months_of(period) == tuple(months)


def test_the_worst_scenes_are_those_that_lose_the_largest_share():
    scenes = {f"clear-{i:02d}": (100_000, 500 + i) for i in range(50)}
    scenes |= {"hazy": (50_000, 40_000), "few": (3, 3), "unseen": (0, 0)}
    worst = worst_scenes(scenes)
    assert [each.scene for each in worst[:2]] == ["hazy", "few"]
    assert worst[0].share == 0.8
    assert len(worst) == 2
    many = {f"scene-{i:02d}": (1000, 10 * i) for i in range(60)}
    assert [each.scene for each in worst_scenes(many)] == [f"scene-{i}" for i in range(59, 39, -1)]
    assert worst_scenes({"a": (10, 0)}) == worst_scenes({}) == ()


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "not known"), (0, "0 %"), (0.0004, "less than 0.1 %"), (0.034, "3.4 %"), (0.0997, "10 %"), (1, "100 %")],
)
def test_shares_in_words(value, text):
    assert percent(value) == text


@pytest.mark.skipif(not CHROMIUM.exists(), reason="chromium is not installed")
def test_the_page_fits_a_phone_and_asks_for_nothing(report):
    asked, trouble = [], []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=str(CHROMIUM), args=["--no-sandbox", "--disable-background-networking"]
        )
        page = browser.new_page(viewport={"width": 360, "height": 740})
        page.on("request", lambda request: asked.append(request.url))
        page.on("console", lambda message: trouble.append(message.text))
        page.goto((report[0] / "report.html").as_uri())
        assert page.evaluate("document.documentElement.scrollWidth") <= 360
        images = "[...document.images].every(image => image.complete && image.naturalWidth > 0)"
        assert page.evaluate(images)
        browser.close()
    assert all(url.startswith(("file:", "data:")) for url in asked)
    assert not trouble

"""The web page in a real browser, against a small store and processes that answer as told."""

import io
import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

from cup4soil.products import NO_SKILL, NO_SKILL_NOTE
from cup4soil.settings import Settings
from stac_catalog.store import Store
from tests.catalog import products
from tests.service import viewer_site
from tests.service.browser import CHROMIUM, FLAGS, NEEDED
from tests.service.viewer_site import Processes

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser")
pytestmark = [
    NEEDED,
    pytest.mark.xdist_group("viewer"),
]

SOC, CLAY, COMPOSITE = "#subject=soc", "#subject=clay", "#subject=bare-soil-composites"
INSIDE, OUTSIDE = np.array((59, 127, 149)), np.array((224, 138, 60))
LAND = np.array((243, 241, 236))
SQUARE = [[10.0, 52.0], [10.01, 52.0], [10.01, 52.01], [10.0, 52.01], [10.0, 52.0]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("viewer")
    viewer_site.fill(folder)
    return folder


@pytest.fixture(scope="module")
def processes():
    return Processes()


@pytest.fixture(scope="module")
def site(folder, processes):
    with viewer_site.served(folder / "store", folder / "results", processes) as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser.new_context()
        browser.close()


@pytest.fixture
def visit(browser, site, processes):
    """Opens the page; afterwards nothing must have gone wrong or outside. What a test expects is in ``expected``."""
    processes.__init__()  # type: ignore[misc]
    troubles: list[str] = []
    pages = []

    def open_page(state: str = "", *, width: int = 1000, height: int = 640, expected: str | None = None):
        page = browser.new_page()
        pages.append(page)
        page.set_viewport_size({"width": width, "height": height})
        page.set_default_timeout(20_000)

        def trouble(text: str) -> None:
            # The page gives up by itself what it reads of a map when another one is chosen.
            if "AbortError: Request was aborted" not in text and (expected is None or expected not in text):
                troubles.append(text)

        page.on("console", lambda message: trouble(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: trouble(str(error)))
        page.on(
            "request", lambda request: trouble(request.url) if not request.url.startswith((site, "blob:")) else None
        )
        page.goto(site + state)
        page.wait_for_selector("html[data-ready=true]")
        return page

    yield open_page
    for page in pages:
        page.close()
    assert troubles == []


def drawn(page) -> Image.Image:
    """The map as it is drawn, once it does not change any more."""
    last = b""
    for _ in range(40):
        page.wait_for_timeout(120)
        now = page.locator("#map").screenshot()
        if now == last:
            return Image.open(io.BytesIO(now)).convert("RGB")
        last = now
    raise AssertionError("the map does not come to rest")


def until(page, condition: str) -> None:
    """Wait for a condition in the page, whose policy forbids to evaluate texts: not by wait_for_function."""
    for _ in range(400):
        if page.evaluate(condition):
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"never came true: {condition}")


def inspect(page, x: float, y: float):
    """Click the map; the place that was read, in the system of the file."""
    page.evaluate("document.querySelector('#reading').replaceChildren()")
    page.locator("#map").click(position={"x": x, "y": y})
    until(
        page, "document.querySelector('#reading').childElementCount > 0 && !document.querySelector('#reading').ariaBusy"
    )
    place = page.locator("#reading .place[data-x]")
    return (float(place.get_attribute("data-x")), float(place.get_attribute("data-y"))) if place.count() else None


def stored(folder: Path, collection: str, name: str, place: tuple[float, float]) -> np.ndarray:
    (path,) = folder.glob(f"store/catalog/{collection}/*/{name}.tif")
    with rasterio.open(path) as dataset:
        return next(dataset.sample([place])) * np.array(dataset.scales)


def alert(page) -> str:
    page.wait_for_selector("[role=alert]:not(:empty)")
    return page.get_by_role("alert").inner_text()


def test_page_shows_the_map_with_licence_and_warning(visit):
    page = visit()
    assert page.locator("#subject option").all_inner_texts() == [
        "Clay content",
        "Soil organic carbon",
        "Bare-soil composites",
    ]
    page.locator("#subject").select_option("soc")
    page.wait_for_selector("#simulated", state="visible")
    assert "CC-BY-SA-4.0" in page.locator("#credits").inner_text()
    assert "LimeSoDa" in page.locator("#credits").inner_text()
    page.locator("#subject").select_option("clay")
    page.wait_for_selector("#simulated", state="hidden")


def test_items_of_large_collections_are_found_on_their_pages(browser, folder, processes, tmp_path, monkeypatch):
    monkeypatch.setattr("stac_catalog.ledger_entries.MOST_ITEMS", 0)
    store = Store.open(shutil.copytree(folder / "store", tmp_path / "store"), Settings())
    store.rebuild()
    assert list(store.root.glob("catalog/soc*/items-*.json"))
    with viewer_site.served(store.root, folder / "results", processes) as address:
        page = browser.new_page()
        page.goto(address + SOC)
        page.wait_for_selector("html[data-ready=true]")
        page.wait_for_selector("#simulated", state="visible")
        assert "LimeSoDa" in page.locator("#credits").inner_text()
        page.close()


def test_map_without_skill_says_so(visit):
    page = visit(CLAY)
    page.wait_for_selector("#no-skill", state="visible")
    assert "better than the mean of all samples" in page.locator("#no-skill").inner_text()
    assert NO_SKILL in page.locator("#about").inner_text()
    assert NO_SKILL_NOTE in page.locator("#about").inner_text()
    page.locator("#subject").select_option("soc")
    page.wait_for_selector("#no-skill", state="hidden")


def test_method_page_is_linked(visit, site):
    page = visit(CLAY)
    address = page.get_by_role("link", name="How this map was made").get_attribute("href")
    assert page.request.get(address).text().startswith("<!doctype html>")
    page.locator("#subject").select_option("soc")
    page.wait_for_selector("#simulated", state="visible")
    assert page.get_by_role("link", name="How this map was made").count() == 0


def test_records_are_linked(visit, folder):
    page = visit(SOC)
    links = {each.inner_text(): each.get_attribute("href") for each in page.locator("#about a").all()}
    for name in ("STAC item", "ISO 19115 metadata record"):
        assert page.request.get(links[name]).ok


def test_page_allows_only_itself(visit):
    page = visit(SOC)
    policy = page.locator("meta[http-equiv=Content-Security-Policy]").get_attribute("content")
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize(("state", "collection"), [(SOC, "soc-0-20cm"), (CLAY, "clay-0-30cm")])
def test_click_reads_what_the_file_holds_and_the_map_shows(visit, folder, state, collection):
    """A map in UTM is drawn in the European system: where it is drawn must be where it is read."""
    page = visit(f"{state}&layer=aoa")
    picture = np.asarray(drawn(page)).astype(int)
    verdicts = []
    for x, y in np.random.default_rng(4).integers((180, 120), (420, 380), (6, 2)):
        place = inspect(page, int(x), int(y))
        text = page.locator("#reading").inner_text().replace("\xa0", " ")
        mean, low, high = (stored(folder, collection, name, place)[0] for name in ("mean", "q05", "q95"))
        assert re.search(rf"\n{mean:.1f} (g/kg|%)\n", text)
        assert f"90 % interval: {low:.1f} to {high:.1f} " in text
        inside = stored(folder, collection, "aoa", place)[0] == 1
        assert ("The model applies here." in text) == inside
        assert ("Neither the value nor its interval should be relied on." in text) != inside
        verdicts.append(inside)
        beside = [np.abs(picture[y, x] - colour).sum() for colour in (OUTSIDE, INSIDE)]
        assert (beside[1] < beside[0]) == inside or near_border(folder, collection, place), (x, y, picture[y, x])
    assert set(verdicts) == {True, False}


def near_border(folder: Path, collection: str, place: tuple[float, float]) -> bool:
    """Whether a cell beside this one is of the other class: drawn at about a pixel per cell, one may hit either."""
    around = [
        stored(folder, collection, "aoa", (place[0] + dx, place[1] + dy))[0] for dx in (-30, 30) for dy in (-30, 30)
    ]
    return collection == "clay-0-30cm" and len(set(around)) > 1


@pytest.mark.parametrize(("offset", "words"), [(280, "outside the map"), (240, "no value here"), (0, "90 % interval")])
def test_missing_cells_say_so(visit, offset, words):
    page = visit(CLAY)
    middle = page.locator("#map").bounding_box()["width"] / 2
    inspect(page, middle + offset, 280)
    assert words in page.locator("#reading").inner_text()


def test_layer_selector_changes_map_legend_and_address(visit):
    page = visit(SOC)
    mean = drawn(page)
    page.locator("#layer").select_option("q95")
    until(page, "document.querySelector('#legend-title').textContent.includes('q95')")
    assert "layer=q95" in page.url
    assert "g/kg" in page.locator("#legend-title").inner_text()
    assert drawn(page).tobytes() != mean.tobytes()
    page.locator("#layer").select_option("aoa")
    page.wait_for_selector(".classes")
    assert page.locator(".classes").inner_text().split("\n") == ["Outside", "Inside"]


def test_veil_is_on_and_can_be_lifted(visit):
    page = visit(SOC)
    assert page.locator("#veil").is_checked()
    veiled = np.asarray(drawn(page)).astype(int)
    page.locator("#veil").uncheck()
    bare = np.asarray(drawn(page)).astype(int)
    changed = (veiled != bare).any(axis=2)
    assert changed.sum() > 5_000
    assert veiled[changed].mean() > bare[changed].mean() + 50


def test_opacity_fades_the_map(visit):
    page = visit(CLAY)
    page.locator("#opacity").fill("0")
    assert page.locator("#opacity-value").inner_text() == "0 %"
    away = np.abs(np.asarray(drawn(page)).astype(int)[180:320, 200:380] - LAND).max(axis=2)
    assert np.median(away) < 12


def test_composite_shows_spectrum_and_surface(visit, folder):
    page = visit(COMPOSITE)
    found = set()
    for x in (200, 380, 400):
        place = inspect(page, x, 260)
        mask = int(stored(folder, "bare-soil-composites", "MASK", place)[0])
        text = page.locator("#reading").inner_text()
        assert {1: "bare soil", 2: "permanently vegetated", 3: "other"}[mask] in text
        spectrum = stored(folder, "bare-soil-composites", "SRC", place)
        shown = page.locator(".bands tbody tr td:nth-child(3)").all_text_contents()
        assert shown == ([f"{value:.4f}" for value in spectrum] if spectrum[0] >= 0 else [])
        found.add(bool(shown))
    assert found == {True, False}


def test_picture_of_a_composite_leaves_missing_cells_clear(visit):
    page = visit(COMPOSITE)
    picture = np.asarray(drawn(page)).astype(int)
    left, right = picture[200:320, 120:200], picture[200:320, 380:460]
    assert np.abs(np.median(left, axis=(0, 1)) - LAND).max() < 8
    assert np.median(right.std(axis=(0, 1))) > 20


def test_every_control_is_reached_by_keyboard(visit):
    page = visit(SOC)
    reached = set()
    for _ in range(60):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.id"))
        outline = page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline != "none" or page.evaluate("document.activeElement === document.body")
    wanted = "map subject layer veil opacity inspect-centre fit draw use-visible load target"
    assert set(wanted.split()) <= reached


def test_map_works_by_keyboard(visit):
    page = visit(SOC)
    page.locator("#inspect-centre").press("Enter")
    first = page.locator("#reading .place[data-x]").get_attribute("data-x")
    page.locator("#map").focus()
    page.keyboard.press("ArrowRight")
    page.wait_for_timeout(500)
    page.locator("#inspect-centre").press("Enter")
    until(page, f"document.querySelector('#reading .place').dataset.x !== '{first}'")
    second = page.locator("#reading .place[data-x]").get_attribute("data-x")
    assert float(second) > float(first)


@pytest.mark.parametrize("state", [SOC, COMPOSITE])
def test_page_fits_a_phone(visit, state):
    page = visit(state, width=360, height=740)
    drawn(page)
    inspect(page, 150, 200)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    assert page.locator("#reading p, #reading tr").first.is_visible()
    heights = [box["height"] for each in page.locator("#panel button:visible").all() if (box := each.bounding_box())]
    assert min(heights) >= 32
    assert page.locator("#map").bounding_box()["height"] >= 220


_CONTRAST = """() => {
  const parse = (text) => { const [r, g, b, a = 1] = text.match(/[\\d.]+/g).map(Number); return {rgb: [r, g, b], a}; };
  const light = (rgb) => rgb.map((v) => v / 255).map((v) => v <= 0.03928 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => { for (let e = element; e; e = e.parentElement) {
    const {rgb, a} = parse(getComputedStyle(e).backgroundColor); if (a > 0.9) return rgb; } return [255, 255, 255]; };
  const found = [];
  for (const e of document.querySelectorAll('body *')) {
    const own = [...e.childNodes].some((n) => n.nodeType === 3 && n.textContent.trim());
    if (!own || !e.checkVisibility() || e.closest('#map, :disabled, svg, .skip, noscript, option')) continue;
    const [a, b] = [light(parse(getComputedStyle(e).color).rgb), light(ground(e))].sort((x, y) => y - x);
    found.push([(a + 0.05) / (b + 0.05), e.textContent.trim().slice(0, 40)]);
  }
  return found;
}"""


def test_texts_have_contrast(visit):
    page = visit(SOC)
    inspect(page, 300, 250)
    found = page.evaluate(_CONTRAST)
    assert len(found) > 30
    assert [each for each in found if each[0] < 4.5] == []


def test_prediction_runs_and_its_result_is_shown(visit, processes, folder):
    processes.statuses = [
        {"status": "accepted"},
        {"status": "running", "progress": 40, "message": "predicting"},
        {"status": "successful", "progress": 100},
    ]
    page = visit(SOC)
    page.locator("#use-visible").click()
    assert "64.0 ha" in page.locator("#area-size").inner_text()
    page.locator("#predict").click()
    until(page, "document.querySelector('#progress').value === 40")
    assert "Running, 40 %: predicting" in page.locator("#progress-text").inner_text()
    page.wait_for_selector("#prediction-result table")
    text = page.locator("#prediction-result").inner_text().replace("\xa0", " ")
    for words in (
        "40.0 ha",
        "15.3 g/kg",
        "9.1 and 24.2 g/kg",
        "31.5 %",
        "do not rely",
        "how places within the area differ",
    ):
        assert words in text
    assert page.locator("#prediction-result details").text_content().endswith("A note of the process.")
    (asked,) = processes.asked
    assert processes.preferred == ["respond-async"]
    assert (asked["inputs"]["property"], asked["inputs"]["depth"]) == ("soc", "0-20cm")
    west, south, east, north = products.soil_map(folder / "again").extent.bbox
    ring = np.array(asked["inputs"]["aoi"]["coordinates"][0])
    assert np.allclose((ring.min(axis=0), ring.max(axis=0)), ((west, south), (east, north)), atol=2e-6)
    until(page, "document.querySelector('#period').selectedOptions[0].text.startsWith('Prediction')")
    drawn(page)
    place = inspect(page, 250, 250)
    with rasterio.open(folder / "results" / viewer_site.JOB / "map.tif") as dataset:
        mean = next(dataset.sample([place]))[0] * 0.1
    assert f"{mean:.1f}" in page.locator("#reading .value").inner_text()


def test_prediction_can_be_cancelled(visit, processes):
    processes.statuses = [{"status": "running", "progress": 5}]
    page = visit(SOC)
    page.locator("#use-visible").click()
    page.locator("#predict").click()
    until(page, "document.querySelector('#progress').value === 5")
    page.locator("#cancel").click()
    page.wait_for_selector("#running", state="hidden")
    assert page.locator("#prediction-result").inner_text() == "The prediction was cancelled."
    assert processes.dismissed == 1


@pytest.mark.parametrize("kind", ["refused", "failed"])
def test_reason_of_a_failure_is_told(visit, processes, kind):
    reason = "the area lies outside the covariates; choose one inside"
    processes.refusal = viewer_site.problem(400, reason) if kind == "refused" else None
    processes.statuses = [{"status": "failed", "message": reason}]
    page = visit(SOC, expected="status of 400")
    page.locator("#use-visible").click()
    page.locator("#predict").click()
    assert reason in alert(page)
    processes.refusal = None
    page.get_by_label("Put this message away").click()
    assert page.locator("#predict").is_enabled()
    inspect(page, 300, 250)


def test_download_asks_for_the_area_in_the_axis_order_of_its_system(visit, processes):
    page = visit(SOC)
    page.locator("#use-visible").click()
    with page.expect_download() as download:
        page.locator("#download").click()
    assert Path(download.value.path()).read_bytes() == processes.coverage
    (asked,) = processes.coverages
    assert asked["bbox-crs"] == "http://www.opengis.net/def/crs/EPSG/0/3035"
    assert [float(each) for each in asked["bbox"].split(",")] == [3_210_000, 4_321_000, 3_210_800, 4_321_800]
    assert asked["properties"].split(",") == ["mean", "q05", "q50", "q95", "aoa"]
    assert (asked["collection"], asked["f"]) == ("soc-0-20cm", "GTiff")
    assert asked["datetime"] == "2019-01-01T00:00:00Z/2021-12-31T23:59:59Z"


def test_rectangle_is_drawn_and_downloaded_in_the_grid_of_a_map_in_utm(visit, processes):
    page = visit(CLAY)
    corners = [inspect(page, x, y) for x, y in ((250, 180), (350, 300))]
    page.locator("#draw").click()
    page.locator("#map").click(position={"x": 250, "y": 180})
    page.locator("#map").click(position={"x": 350, "y": 300})
    page.wait_for_selector("#download:enabled")
    with page.expect_download():
        page.locator("#download").click()
    (asked,) = processes.coverages
    west, south, east, north = (float(each) for each in asked["bbox"].split(","))
    (xs, ys) = np.array(corners).T
    # The rectangle stands upright in the European system, here it leans: its box reaches beyond the corners.
    beyond = np.array((xs.min() - west, ys.min() - south, east - xs.max(), north - ys.max()))
    lean = 0.08 * np.ptp(ys)
    assert ((beyond > -40) & (beyond < lean + 200)).all()
    assert beyond.max() > 60
    assert asked["bbox-crs"].endswith("/32633")


def test_refused_download_is_told(visit, processes):
    page = visit(SOC, expected="status of 413")
    processes.refusal = viewer_site.problem(413, "more than 16000000 cells; choose a smaller area")
    page.locator("#use-visible").click()
    page.locator("#download").click()
    assert "more than 16000000 cells" in alert(page)


def test_polygon_of_a_file_is_taken_as_it_is(visit, processes):
    processes.statuses = [{"status": "running"}]
    page = visit(SOC)
    feature = {"type": "Feature", "properties": {}, "geometry": {"type": "Polygon", "coordinates": [SQUARE]}}
    _load(page, "field.geojson", feature)
    page.wait_for_selector("#predict:enabled")
    assert "76" in page.locator("#area-size").inner_text()
    page.locator("#predict").click()
    page.wait_for_selector("#running", state="visible")
    assert np.allclose(processes.asked[0]["inputs"]["aoi"]["coordinates"][0], SQUARE, atol=1e-6)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("no json", "is not GeoJSON"),
        ({"type": "Point", "coordinates": [1, 2]}, "has 0 polygons"),
        ({"type": "Polygon", "coordinates": [[[4e6, 3e6], [5e6, 3e6], [5e6, 4e6], [4e6, 3e6]]]}, "not in degrees"),
    ],
)
def test_file_that_is_no_area_is_refused(visit, content, words):
    page = visit(SOC)
    _load(page, "area.geojson", content)
    assert words in alert(page)
    assert page.locator("#predict").is_disabled()


def test_empty_store_is_said_to_be_empty(browser, tmp_path, processes):
    viewer_site.Store.open(tmp_path / "store", viewer_site.Settings())
    (tmp_path / "results").mkdir()
    viewer_site.Store.open(tmp_path / "store", viewer_site.Settings()).rebuild()
    with viewer_site.served(tmp_path / "store", tmp_path / "results", processes) as address:
        page = browser.new_page()
        page.goto(address)
        page.wait_for_selector("#empty", state="visible")
        page.close()


def _load(page, name: str, content: object) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    page.locator("#file").set_input_files({"name": name, "mimeType": "application/json", "buffer": text.encode()})


def test_nothing_can_be_pressed_before_the_page_listens(browser, site):
    """A press that nobody hears would leave the reader waiting for ever."""
    page = browser.new_page()
    held = []
    page.route("**/assets/index-*.js", lambda route: held.append(route))
    page.goto(site + SOC, wait_until="commit")
    page.wait_for_selector("#controls")
    assert page.locator("#controls :is(button, select, input):enabled").count() == 0
    for each in held:
        each.continue_()
    page.wait_for_selector("html[data-ready=true]")
    assert page.get_by_role("button", name="Use the visible part").is_enabled()
    page.close()

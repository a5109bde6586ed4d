"""QGIS without a screen: layers from the STAC API, the records, COGs and tiles; one session of it for all tests."""

import json
import re
from pathlib import Path
from urllib.request import urlopen

import httpx
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from processors.tile_matrices import EUROPEAN
from tests import needs
from tests.clients.conftest import Site, told
from tests.clients.reading import reads
from tests.processors.coverages.worlds import COLLECTION, LEFT, NODATA, TOP

pytestmark = pytest.mark.xdist_group("clients")
_SESSION = Path(__file__).with_name("qgis_session.py")
_BOX = [LEFT, TOP - 16_000, LEFT + 22_000, TOP]
_SIZE = [550, 400]  # 40 m to a pixel: two cells each way
_INSIDE, _OUTSIDE = (463_610, 5_804_990), (462_510, 5_806_190)
type Answers = dict[str, dict]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("qgis")


@pytest.fixture(scope="module")
def answers(site: Site, folder: Path) -> Answers:
    """What QGIS answers to each task, by its name."""
    python = needs.qgis()
    tasks = _tasks(site, folder)
    home = {"HOME": str(folder), "XDG_RUNTIME_DIR": str(folder), "PYTHONPATH": ""}
    folder.chmod(0o700)
    said = told([python, str(_SESSION), json.dumps(list(tasks.values())), str(folder)], folder, **home)
    return dict(zip(tasks, json.loads(said.splitlines()[-1]), strict=True))


def _tasks(site: Site, folder: Path) -> dict[str, dict]:
    drawn = {"box": _BOX, "size": _SIZE, "crs": "EPSG:3035"}
    tiles = f"{site.url}/tiles/wmts/1.0.0/WMTSCapabilities.xml"
    matrices = {"layer": COLLECTION, "style": "mean", "matrices": EUROPEAN}
    point = [LEFT + 750.5 * 20, TOP - 500.5 * 20]
    return {
        "items": {"do": "features", "url": f"{site.url}/stac", "name": COLLECTION},
        "sites": {"do": "features", "url": f"{site.url}/ogc", "name": "validation-sites"},
        "records": {"do": "features", "url": f"{site.url}/ogc", "name": "products"},
        "cog": {"do": "identify", "source": f"/vsicurl/{site.address('mean')}", "points": [_INSIDE, _OUTSIDE]},
        "search": {"do": "identify", "source": f'STACIT:"{_kept(site, folder)}":asset=mean', "points": [point]},
        "xyz": {"do": "xyz", "url": f"{site.url}/tiles/{COLLECTION}/{{z}}/{{x}}/{{y}}.png", "file": "xyz.png"} | drawn,
        "wmts": {"do": "wmts", "url": tiles, "file": "wmts.png"} | matrices | drawn,
    }


def _kept(site: Site, folder: Path) -> Path:
    """A search for GDAL 3.6, which QGIS 3.22 reads with."""
    with urlopen(
        f"{site.url}/stac/search?collections={COLLECTION}&datetime=2022-06-01T00:00:00Z", timeout=30
    ) as answer:
        text = re.sub(r'"proj:code": ?"EPSG:(\d+)"', r'"proj:epsg": \1', answer.read().decode())
    (folder / "search.json").write_text(text)
    return folder / "search.json"


@reads("QGIS 3.22", "STAC API")
def test_items_as_features(site: Site, answers: Answers) -> None:
    layer = answers["items"]
    assert layer["crs"] == "EPSG:4326"
    assert layer["valid"]
    assert {each["id"] for each in layer["rows"]} == set(site.store.items(COLLECTION))
    assert {each["cup4soil:kind"] for each in layer["rows"]} == {"soil-map"}
    assert layer["extent"] == pytest.approx([24.70, 65.47, 25.24, 65.66], abs=0.02)


@reads("QGIS 3.22", "OGC API Records")
def test_records_as_features(site: Site, answers: Answers) -> None:
    names = {each["id"] for each in answers["records"]["rows"]}
    assert names == {name.split("/")[1] for name in site.names}


@reads("QGIS 3.22", "OGC API Features")
def test_validation_sites(site: Site, answers: Answers) -> None:
    """What was measured, by the id of each site."""
    rows = {each["id"]: float(each["observed"]) for each in answers["sites"]["rows"]}
    assert rows == {name: pytest.approx(each["observed"]) for name, each in site.sites.items()}


@reads("QGIS 3.22", "COGs")
def test_click_on_a_cog_gives_the_value_in_its_unit(site: Site, answers: Answers) -> None:
    layer = answers["cog"]
    assert (layer["crs"], layer["size"]) == ("EPSG:32633", list(reversed(site.stored("mean").shape)))
    row, column = _cell(_INSIDE)
    assert layer["values"][0] == pytest.approx(site.stored("mean")[row, column] * 0.1)
    assert site.stored("mean")[_cell(_OUTSIDE)] == NODATA
    assert layer["values"][1] is None


def _cell(point: tuple[float, float]) -> tuple[int, int]:
    return int((5_806_200 - point[1]) // 20), int((point[0] - 462_500) // 20)


def test_mosaic_of_a_search(site: Site, answers: Answers) -> None:
    layer = answers["search"]
    assert layer["size"] == [1100, 800]
    assert layer["values"] == [site.tiles.mosaic[500, 750]]


@reads("QGIS 3.22", "XYZ tiles", "WMTS")
@pytest.mark.parametrize("name", ["xyz", "wmts"])
def test_colours_are_those_of_the_legend(site: Site, answers: Answers, folder: Path, name: str) -> None:
    assert answers[name]["errors"] == []
    with Image.open(folder / f"{name}.png") as image:
        picture = np.asarray(image.convert("RGBA")).astype(int)
    # Of each two cells the mean, which a pixel shows about; the map has no jumps but at its gaps and seams.
    cells = site.tiles.mosaic.reshape(400, 2, 550, 2)
    missing = (cells == NODATA).mean(axis=(1, 3))
    wanted = _legend(site, cells.mean(axis=(1, 3)) * 0.1)
    away = np.abs(picture[..., :3] - wanted).max(axis=-1)
    whole = _inner(missing == 0)
    assert whole.mean() > 0.4
    assert (picture[whole][:, 3] == 255).all()
    # Tiles in Web Mercator are drawn anew on the European grid, a pixel off at most.
    assert np.quantile(away[whole], 0.95) < 24
    assert np.median(away[whole]) <= 6
    assert (picture[_inner(missing == 1)][:, 3] == 0).all()


def _legend(site: Site, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Colours of values by the legend: linear between its stops."""
    stops = httpx.get(f"{site.url}/ogc/collections/{COLLECTION}/legend?f=json", timeout=30).json()["stops"]
    places = [each["value"] for each in stops]
    colours = np.array([[int(each["colour"][i : i + 2], 16) for i in (1, 3, 5)] for each in stops])
    return np.stack([np.interp(values, places, colours[:, band]) for band in range(3)], axis=-1)


def _inner(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Without the three pixels at the rim, and without the seams of the two tiles."""
    found = mask.copy()
    for axis in (0, 1):
        for shift in range(-3, 4):
            found &= np.roll(mask, shift, axis)
    found[47:53] = found[:, 297:303] = found[:, 247:253] = found[347:353] = False
    found[:3] = found[-3:] = False
    return found

"""Colours, styles, ranges, pictures and legends."""

import json
import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cup4soil.errors import InvalidInput, NotFound
from processors import map_colours
from processors.coverage_catalog import CoverageCatalog
from processors.coverages import Field
from processors.map_legends import legend_document, legend_picture
from processors.map_maker import Look, MapMaker
from processors.map_pictures import PNG, WEBP, encode, paint
from processors.map_styles import Style, style_of, styles_of
from tests.processors.maps.conftest import COLLECTION, MapWorld

PALETTES = Path(__file__).parents[3] / "service/viewer/src/palettes.ts"
MEAN = Field("mean", "Mean", "", "g/kg", "int16", -32768, 0.1, 0.0)
AOA = Field("aoa", "Applicability", "", "1", "uint8", 255, 1.0, 0.0, ((0, "outside"), (1, "inside")))


def test_colours_are_those_of_the_page() -> None:
    text = PALETTES.read_text(encoding="utf-8")
    for name, colours in map_colours.RAMPS.items():
        found = re.search(rf"{name}: \[([^\]]*)\]", text)
        assert found is not None
        assert tuple(re.findall(r"#[0-9a-f]{6}", found[1])) == colours
    for layer, classes in map_colours.CLASSES.items():
        found = re.search(rf"{layer}: \{{([^}}]*)\}}", text)
        assert found is not None
        assert {int(value): colour for value, colour in re.findall(r"(\d+): \"(#\w{6})\"", found[1])} == classes


@pytest.mark.parametrize("ramp", map_colours.RAMPS)
def test_ramps_step_evenly_in_lightness(ramp: str) -> None:
    """Monotone in CIE L*, so that they read in grey, and without jumps."""
    linear = ((map_colours.lookup(ramp) / 255.0 + 0.055) / 1.055) ** 2.4
    lightness = 116 * np.cbrt(linear @ [0.2126, 0.7152, 0.0722]) - 16
    steps = np.diff(lightness) * np.sign(lightness[-1] - lightness[0])
    assert (steps > -0.15).all()
    assert steps.max() < 4 * steps.mean()


def test_styles_of_a_map(map_world: MapWorld) -> None:
    coverage = CoverageCatalog(map_world.store).coverage(COLLECTION)
    styles = styles_of(coverage)
    assert list(styles) == ["mean", "q95", "aoa", "mean-veiled", "q95-veiled"]
    assert style_of(coverage, None) is not None
    assert style_of(coverage, "default").id == "mean"
    assert [field.name for field in styles["mean-veiled"].needs] == ["mean", "aoa"]
    with pytest.raises(NotFound, match="mean-veiled"):
        style_of(coverage, "nothing")


def test_uncertainty_has_another_ramp() -> None:
    assert len({map_colours.ramp_of(name) for name in ("mean", "uncertainty", "di", "BSF")}) == 4


def test_range_is_of_values_and_shared(map_world: MapWorld) -> None:
    maker = MapMaker(map_world.store)
    _, style, ends = maker.styled(COLLECTION, Look())
    assert ends == maker.styled(COLLECTION, Look("q95"))[2] == maker.styled(COLLECTION, Look("mean-veiled"))[2]
    valid = map_world.mosaic[map_world.mosaic != -32768] * 0.1
    assert valid.min() <= ends[0] < np.quantile(valid, 0.1)
    assert np.quantile(valid, 0.9) < ends[1] <= valid.max()
    with pytest.raises(InvalidInput, match="range"):
        maker.styled(COLLECTION, Look("aoa", ends=(0, 1)))
    assert style.kind == "ramp"
    maker.close()


def test_paint() -> None:
    values = np.array([[[np.nan, -5.0, 0.0, 10.0, 20.0, 99.0]]], dtype=np.float32)
    picture = paint(Style("mean", "Mean", "ramp", (MEAN,)), values, (0.0, 20.0))
    table = map_colours.lookup("value")
    assert picture[0, :, 3].tolist() == [0, 255, 255, 255, 255, 255]
    assert (picture[0, 1:, :3] == table[[0, 0, 128, 255, 255]]).all()
    assert tuple(table[0]) == (0x44, 0x01, 0x54)
    assert tuple(table[-1]) == (0xFD, 0xE7, 0x25)


def test_veil_hatches_only_outside() -> None:
    mean = np.full((16, 16), 5.0, dtype=np.float32)
    aoa = np.ones((16, 16), dtype=np.float32)
    aoa[:, :8] = 0
    aoa[0] = np.nan
    plain = paint(Style("mean", "", "ramp", (MEAN,)), mean[np.newaxis], (0.0, 10.0))
    veiled = paint(Style("mean-veiled", "", "ramp", (MEAN,), AOA), np.stack([mean, aoa]), (0.0, 10.0))
    assert (veiled[:, 8:] == plain[:, 8:]).all()
    assert (veiled[0] == plain[0]).all()
    assert (veiled[1:, :8, :3] != plain[1:, :8, :3]).any(axis=-1).all()
    assert len(np.unique(veiled[1:, :8].reshape(-1, 4), axis=0)) == 2
    # Eight pixels on the stripes begin anew, so that tiles join.
    assert (veiled[1:8, :8] == veiled[9:, :8][:7]).all()


def test_classes_have_their_colours() -> None:
    picture = paint(Style("aoa", "", "classes", (AOA,)), np.array([[[0.0, 1.0, np.nan]]], dtype=np.float32), (0, 1))
    assert [tuple(pixel) for pixel in picture[0, :2, :3]] == [(0xE0, 0x8A, 0x3C), (0x3B, 0x7F, 0x95)]
    assert picture[0, 2, 3] == 0


@pytest.mark.parametrize("kind", [PNG, WEBP])
def test_encoding_loses_nothing(kind: str) -> None:
    picture = np.random.default_rng(0).integers(0, 256, (32, 48, 4)).astype(np.uint8)
    picture[..., 3] = 255
    picture[:5, :, 3] = 0
    with Image.open(BytesIO(encode(picture, kind))) as image:
        found = np.asarray(image.convert("RGBA"))
    assert (found[5:] == picture[5:]).all()
    assert (found[:5, :, 3] == 0).all()


@pytest.mark.parametrize(
    "style",
    [
        Style("mean", "Mean " * 30, "ramp", (MEAN,)),
        Style("mean-veiled", "Mean", "ramp", (MEAN,), AOA),
        Style("aoa", "Applicability", "classes", (AOA,)),
        Style("true-colour", "Natural", "picture", (MEAN, MEAN, MEAN)),
    ],
)
def test_legends(style: Style) -> None:
    document = json.loads(json.dumps(legend_document("soc", style, (0.0, 20.0))))
    if style.kind == "ramp":
        assert document["unit"] == "g/kg"
        assert document["range"] == [0, 20]
        assert [stop["value"] for stop in document["stops"]] == [0, 2.5, 5, 7.5, 10, 12.5, 15, 17.5, 20]
    if style.kind == "classes":
        assert document["classes"][0] == {"value": 0, "title": "outside", "colour": "#e08a3c"}
    assert ("hatched" in document) == (style.veil is not None)
    with Image.open(BytesIO(legend_picture(style, (0.0, 20.0)))) as image:
        assert image.width == 320
        colours = {colour for _, colour in image.convert("RGB").getcolors(100_000) or ()}
    if style.kind == "ramp":
        assert {(0x44, 0x01, 0x54), (0xFD, 0xE7, 0x25)} <= colours
    if style.kind == "classes":
        assert {(0xE0, 0x8A, 0x3C), (0x3B, 0x7F, 0x95)} <= colours

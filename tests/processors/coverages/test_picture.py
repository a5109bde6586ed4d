"""Coverages as PNG."""

import io
from urllib.parse import urljoin

import httpx
import numpy as np
import pytest
from PIL import Image

from tests.processors.coverages import worlds
from tests.processors.coverages.conftest import COLLECTION, LEFT, TOP, World

_ADDRESS = f"/ogc/collections/{COLLECTION}/coverage"


def _image(answer: httpx.Response) -> Image.Image:
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png"), answer.text
    return Image.open(io.BytesIO(answer.content))


def test_a_picture_has_a_pixel_for_each_cell_and_none_where_there_is_no_value(world: World, server: str) -> None:
    subset = f"E({LEFT}:{LEFT + 4000}),N({TOP - 3000}:{TOP})"
    answer = httpx.get(f"{server}{_ADDRESS}", params={"f": "PNG", "properties": "mean", "subset": subset})
    pixels = np.asarray(_image(answer).convert("RGBA"))
    cells = world.mosaic[:150, :200]
    assert pixels.shape == (150, 200, 4)
    np.testing.assert_array_equal(pixels[..., 3] == 0, cells == worlds.NODATA)
    # One colour for one value: the lightest for the highest.
    lightness = pixels[..., :3].sum(axis=-1).astype(int)
    valid = cells != worlds.NODATA
    assert np.corrcoef(lightness[valid], cells[valid])[0, 1] > 0.95


def test_a_picture_says_what_its_colours_mean(server: str) -> None:
    answer = httpx.get(f"{server}{_ADDRESS}", params={"f": "png", "properties": "mean", "scale-factor": "10"})
    text = _image(answer).text  # type: ignore[attr-defined]
    assert "g/kg" in text["Legend"]
    assert text["LICENCE"] == "CC-BY-SA-4.0"
    address = answer.headers["link"].split(">")[0].removeprefix("<")
    legend = httpx.get(urljoin(str(answer.url), address))
    assert (legend.status_code, legend.headers["content-type"]) == (200, "image/png")
    classes = httpx.get(f"{server}{_ADDRESS}", params={"properties": "aoa"}, headers={"Accept": "image/png"})
    assert _image(classes).text["Legend"] == "0: outside, 1: inside"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("query", "status", "said"),
    [
        ("f=PNG&properties=mean,q95", 400, "one field"),
        ("f=PNG&properties=gold", 400, "mean, q95, aoa"),
        ("f=PNG&bbox=1,2,3,4", 404, "24.7"),
        ("f=PNG&properties=mean&scale-factor=0.1", 413, "4000000"),
    ],
)
def test_refusals_say_what_was_wrong(server: str, query: str, status: int, said: str) -> None:
    answer = httpx.get(f"{server}{_ADDRESS}?{query}")
    assert answer.status_code == status, answer.text
    assert said in answer.json()["detail"]


def test_without_a_field_it_is_the_default_style(server: str) -> None:
    assert _image(httpx.get(f"{server}{_ADDRESS}?f=PNG")).size == (1100, 800)

"""The demo's closing figures: computed by hand, and through the files of the chain."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from cup4soil.errors import InvalidRaster, NoData, NotFound
from cup4soil.methods.bare_soil import BANDS
from cup4soil.progress import Silent
from cup4soil.rasters.plain import write_plain
from cup4soil.rasters.reading import raster_info, read_on_grid
from cup4soil.settings import Settings
from producers.composite import plan_composite
from producers.composite_request import CompositeRequest
from producers.simulation import RECOMMENDED_THRESHOLD, SimulatedLandscape, evaluate, simulate_archive
from producers.simulation.evaluation import Products, Truth, score


def _truth() -> Truth:
    """4 x 4 cells: the upper three rows are cropland."""
    rng = np.random.default_rng(0)
    land_cover = np.full((4, 4), 40, dtype=np.float32)
    land_cover[3] = 10
    soc = rng.uniform(5, 25, (4, 4)).astype(np.float32)
    soc[3] = np.nan
    reflectance = rng.uniform(0.1, 0.3, (10, 4, 4)).astype(np.float32)
    return Truth(land_cover, soc, rng.integers(1, 9, (4, 4)).astype(np.float32), reflectance)


def _perfect(truth: Truth) -> Products:
    return Products(
        mask=np.where(truth.land_cover == 40, 1, 2).astype(np.float32),
        bare_count=truth.bare_count,
        src=truth.reflectance,
        soc=truth.soc,
        soc_q05=truth.soc - 2,
        soc_q95=truth.soc + 2,
        inside=np.ones((4, 4), dtype=np.float32),
    )


def test_perfect_products_score_perfectly() -> None:
    truth = _truth()
    result = score(truth, _perfect(truth))
    assert (result.cropland_cells, result.composited_share, result.composited_elsewhere_share) == (12, 1.0, 0.0)
    assert (result.bare_count_bias, result.bare_found_share) == (0.0, 1.0)
    assert set(result.src_rmse.values()) == {0.0}
    assert (result.soc.rmse, result.soc.me, result.soc.mec, result.soc.coverage90) == (0.0, 0.0, 1.0, 1.0)
    assert result.soc.width90 == pytest.approx(4.0, abs=1e-5)
    assert result.soc_inside == result.soc


def test_errors_come_out_as_put_in() -> None:
    truth = _truth()
    perfect = _perfect(truth)
    error = np.array([[1, -1, 3, 1], [1, 1, -3, 1], [0, 0, 0, 0], [0, 0, 0, 0]], dtype=np.float32)
    inside = np.array([[1, 1, 0, 1], [1, 1, 0, 1], [0, 0, 0, 0], [1, 1, 1, 1]], dtype=np.float32)
    mask = perfect.mask.copy()
    mask[2] = 2
    mask[3, 0] = 1
    products = replace(
        perfect,
        mask=mask,
        soc=truth.soc + error,
        soc_q05=truth.soc + error - 2,
        soc_q95=truth.soc + error + 2,
        bare_count=truth.bare_count + 1,
        src=truth.reflectance + np.float32(0.01),
        inside=inside,
    )
    result = score(truth, products)
    assert result.composited_share == pytest.approx(8 / 12)
    assert result.composited_elsewhere_share == pytest.approx(1 / 9)
    assert (result.bare_count_bias, result.bare_found_share) == (1.0, 1.0)
    assert list(result.src_bias.values()) == pytest.approx([0.01] * 10, abs=1e-6)
    assert result.soc.cells == 8
    assert result.soc.rmse == pytest.approx(np.sqrt(24 / 8), rel=1e-5)
    assert result.soc.me == pytest.approx(0.5, abs=1e-5)
    assert result.soc.coverage90 == pytest.approx(6 / 8)
    assert result.inside_share == pytest.approx(6 / 8)
    assert result.soc_inside is not None
    assert result.soc_inside.rmse == pytest.approx(1.0, rel=1e-5)
    assert result.soc_inside.coverage90 == 1.0


def test_nothing_composited_is_said() -> None:
    truth = _truth()
    with pytest.raises(NoData, match="no cell of the cropland"):
        score(truth, replace(_perfect(truth), mask=np.full((4, 4), 2, dtype=np.float32)))


def test_an_empty_area_of_applicability_has_no_score_of_its_own() -> None:
    truth = _truth()
    result = score(truth, replace(_perfect(truth), inside=np.zeros((4, 4), dtype=np.float32)))
    assert result.soc_inside is None
    assert result.inside_share == 0.0
    assert len(result.lines()) == 5
    assert json.loads(result.to_json())["soc_inside"] is None


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> tuple[SimulatedLandscape, Path, Path]:
    """Archive and composite as the demo makes them, and a soil map that knows the truth but for 1 g/kg."""
    root = tmp_path_factory.mktemp("chain")
    landscape = simulate_archive(root / "archive", size=80)
    request = CompositeRequest(
        source=str(landscape.catalog), threshold=RECOMMENDED_THRESHOLD, land_cover=landscape.landcover
    )
    composite, soil_map = root / "composite", root / "soc"
    composite.mkdir()
    soil_map.mkdir()
    plan_composite(request, Settings()).run(composite, Silent())
    grid = raster_info(landscape.true_soc).geobox
    soc = read_on_grid(landscape.true_soc, grid)[0]
    for name, error in (("mean", 1.0), ("q05", -1.0), ("q95", 3.0)):
        stored = np.where(np.isnan(soc), -32768, np.rint((soc + error) * 10)).astype(np.int16)
        write_plain(soil_map / f"{name}.tif", stored, grid, nodata=-32768, scale=0.1)
    write_plain(soil_map / "aoa.tif", np.ones(soc.shape, dtype=np.uint8), grid, nodata=255)
    return landscape, composite, soil_map


def test_the_chain_finds_the_bare_soil(chain: tuple[SimulatedLandscape, Path, Path]) -> None:
    result = evaluate(*chain)
    assert result.composited_share > 0.6
    assert result.composited_elsewhere_share < 0.03
    assert result.bare_found_share > 0.65
    assert abs(result.bare_count_bias) < 3
    assert list(result.src_rmse) == list(BANDS)
    assert max(result.src_rmse.values()) < 0.035
    assert result.soc.me == pytest.approx(1.0, abs=0.01)
    assert result.soc.rmse == pytest.approx(1.0, abs=0.01)
    assert result.soc.width90 == pytest.approx(4.0, abs=0.01)
    assert result.soc.coverage90 == 1.0


def test_the_chain_drops_the_older_baseline(chain: tuple[SimulatedLandscape, Path, Path]) -> None:
    lineage = json.loads((chain[1] / "lineage.json").read_text())
    text = json.dumps(lineage)
    assert "older processing baseline" in text
    assert "N0500" in text


def test_missing_and_wrong_layers_are_named(chain: tuple[SimulatedLandscape, Path, Path], tmp_path: Path) -> None:
    landscape, composite, soil_map = chain
    with pytest.raises(NotFound, match=r"mean\.tif"):
        evaluate(landscape, composite, tmp_path)
    other = tmp_path / "composite"
    shutil.copytree(composite, other)
    shutil.copyfile(composite / "MASK.tif", other / "SFREQ.tif")
    with pytest.raises(InvalidRaster, match="no band BSC"):
        evaluate(landscape, other, soil_map)
    shutil.copyfile(composite / "SFREQ.tif", other / "SRC.tif")
    shutil.copyfile(composite / "SFREQ.tif", other / "SFREQ.tif")
    with pytest.raises(InvalidRaster, match="3 bands"):
        evaluate(landscape, other, soil_map)

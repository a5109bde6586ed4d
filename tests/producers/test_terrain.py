"""Terrain products: the same from blocks as from the whole, registered, and every way in which a model is refused."""

from pathlib import Path

import numpy as np
import pytest
import rasterio

from cup4soil.errors import InvalidInput, InvalidRaster, LicenceConflict, LimitExceeded, NoData, NotFound
from cup4soil.products import read_record
from cup4soil.progress import Silent
from cup4soil.rasters.covariates import CovariateStack
from cup4soil.settings import Settings
from producers import terrain as terrain_module
from producers.terrain import TerrainRequest, plan_terrain
from service.cli import run
from stac_catalog.validation import validate_catalog
from tests.core.covariate_rasters import write_raster
from tests.core.test_terrain import smooth

SETTINGS = Settings(threads=2)
WHOLE = {"flow_accumulation", "twi", "mrvbf", "mrrtf"}


@pytest.fixture(scope="module")
def dem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    hills = smooth(3, 400, 60)
    hills[100:110, 200:230] = np.nan
    return write_raster(tmp_path_factory.mktemp("dem") / "dem.tif", hills)


def layers(folder: Path) -> dict[str, np.ndarray]:
    return {path.stem: rasterio.open(path).read(1) for path in sorted(folder.glob("*.tif"))}


def test_blocks_give_what_the_whole_gives(dem: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    request = TerrainRequest(dem=dem, scales_m=(100, 400))
    for name, edge in (("whole", 2048), ("blocks", 128)):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(terrain_module, "_LARGEST_BLOCK", edge)
        monkeypatch.setattr(terrain_module, "_LEAST_BLOCK", min(edge, 256))
        plan_terrain(request, SETTINGS).run(tmp_path / name, Silent())
    whole, parts = layers(tmp_path / "whole"), layers(tmp_path / "blocks")
    assert set(whole) >= WHOLE | {"slope", "tpi_100m", "relative_height_400m"}
    for name, values in whole.items():
        # A step of the integers is rounding: sums of a window run from its own corner.
        assert np.abs(values.astype(int) - parts[name]).max() <= 1, name
        np.testing.assert_array_equal(values == -32768, np.isnan(rasterio.open(dem).read(1)))


def test_the_command_registers_a_product_that_serves_as_covariates(dem: Path, tmp_path: Path) -> None:
    out, store = tmp_path / "terrain", tmp_path / "store"
    arguments = ["terrain", str(dem), str(out), "--scale", "200", "--licence", "CC-BY-4.0", "--attribution", "Survey"]
    assert run([*arguments, "--store", str(store)]) == 0
    record = read_record(out)
    assert validate_catalog(store / "catalog") == []
    assert (record.collection, record.attribution) == ("terrain", ("Survey",))
    assert record.sources[0].licence == "CC-BY-4.0"
    assert str(tmp_path) not in record.model_dump_json()
    stack = CovariateStack.open([out])
    units = {each.name: each.unit for each in stack.signature}
    assert (units["slope"], units["elevation"], units["twi"], units["roughness"]) == ("degree", "m", None, "m")
    with rasterio.open(dem) as dataset:
        expected = dataset.read(1)
    read = stack.read(stack.geobox)
    np.testing.assert_allclose(read[stack.names.index("elevation")], expected, atol=0.051)
    assert np.isfinite(read).all(axis=0).sum() == np.isfinite(expected).sum()
    before = (out / "product.json").read_bytes()
    assert run([*arguments, "--store", str(store)]) == 0
    assert (out / "product.json").read_bytes() == before


def test_without_flow_the_whole_is_not_needed(dem: Path, tmp_path: Path) -> None:
    small = Settings(threads=1, block_memory_mib=32)
    job = plan_terrain(TerrainRequest(dem=dem, flow=False, scales_m=(40,)), small)
    job.run(tmp_path, Silent())
    assert not WHOLE & set(layers(tmp_path))
    assert job.id != plan_terrain(TerrainRequest(dem=dem, scales_m=(40,)), SETTINGS).id


def test_a_model_too_large_for_flow_is_told_what_to_do(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "dem.tif", np.zeros((700, 700), np.float32))
    with pytest.raises(LimitExceeded, match=r"700 x 700 cells need 45 MiB at once, the limit is 32; .*--no-flow"):
        plan_terrain(TerrainRequest(dem=path), Settings(block_memory_mib=32))


def test_values_past_the_integers_are_counted(tmp_path: Path) -> None:
    cliffs = smooth(1, 40)
    cliffs[20] = 9000
    path = write_raster(tmp_path / "dem.tif", cliffs)
    (tmp_path / "out").mkdir()
    record = plan_terrain(TerrainRequest(dem=path, scales_m=(60,)), SETTINGS).run(tmp_path / "out", Silent())
    assert any(note.startswith("40 cells of elevation lie past") for note in record.limitations)


def test_a_band_of_several_is_named(tmp_path: Path) -> None:
    both = np.stack([smooth(1, 40), smooth(2, 40)])
    path = write_raster(tmp_path / "both.tif", both, names=("rock", "height"))
    with pytest.raises(NotFound, match="2 bands; name one by --band: rock, height"):
        plan_terrain(TerrainRequest(dem=path), SETTINGS)
    assert plan_terrain(TerrainRequest(dem=path, band="height"), SETTINGS).stack.names == ("height",)


@pytest.mark.parametrize(
    ("raster", "request_", "error", "message"),
    [
        (
            {"crs": "EPSG:4326", "left": 10.0, "top": 50.0, "cell": 0.001},
            {},
            InvalidRaster,
            "counts in degree; warp it",
        ),
        ({"crs": "EPSG:2263"}, {}, InvalidRaster, "counts in US survey foot"),
        (
            {},
            {"scales_m": (5.0,)},
            InvalidInput,
            "a scale of 5 m cannot be looked at in cells of 20 m; give 20 to 10000",
        ),
        ({}, {"scales_m": (float("nan"),)}, InvalidInput, "a scale of nan m"),
        ({}, {"scales_m": (100.0, 101.0)}, InvalidInput, "given twice"),
        ({}, {"scales_m": tuple(range(100, 2300, 200))}, InvalidInput, "11 scales are asked for; give 10"),
        ({}, {"band": "other"}, NotFound, "no covariate 'other'; there are dem"),
        ({}, {"licence": "my own"}, LicenceConflict, "not known what 'my own' allows"),
    ],
)
def test_what_cannot_be_used_is_refused(tmp_path: Path, raster, request_, error, message) -> None:
    path = write_raster(tmp_path / "dem.tif", smooth(1, 40), **raster)
    with pytest.raises(error, match=message):
        plan_terrain(TerrainRequest(dem=path, **request_), SETTINGS)


def test_elevation_in_feet_is_refused(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "dem.tif", smooth(1, 40))
    with rasterio.open(path, "r+") as dataset:
        dataset.units = ("ft",)
    with pytest.raises(InvalidRaster, match="is in ft; give elevation in metres"):
        plan_terrain(TerrainRequest(dem=path), SETTINGS)


def test_a_model_of_a_few_cells_is_refused(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "dem.tif", smooth(1, 10))
    with pytest.raises(InvalidRaster, match="has 10 x 10 cells; give at least 16 x 16"):
        plan_terrain(TerrainRequest(dem=path), SETTINGS)


def test_a_model_without_elevation_leaves_nothing(tmp_path: Path) -> None:
    path = write_raster(tmp_path / "dem.tif", np.full((40, 40), np.nan, np.float32))
    (tmp_path / "out").mkdir()
    with pytest.raises(NoData, match="no cell with an elevation"):
        plan_terrain(TerrainRequest(dem=path), SETTINGS).run(tmp_path / "out", Silent())
    assert list((tmp_path / "out").iterdir()) == []


def test_eberg_gets_terrain_without_losing_its_border(shared_data: Path, tmp_path: Path) -> None:
    path = shared_data / "eberg" / "eberg_grid_100m.tif"
    plan_terrain(TerrainRequest(dem=path, band="DEMSRT6"), SETTINGS).run(tmp_path, Silent())
    made, given = CovariateStack.open(sorted(tmp_path.glob("*.tif"))), CovariateStack.open([path])
    read = dict(zip(made.names, made.read(made.geobox), strict=True))
    assert all(np.isfinite(values).all() for values in read.values())
    # Another wetness of the same relief, made by other software.
    theirs = given.read(given.geobox)[given.names.index("TWISRT6")]
    assert np.corrcoef(read["twi"].ravel(), theirs.ravel())[0, 1] > 0.6

"""Making the whole simulation on disk: the archive, the land-cover map, the samples, and the truth."""

import json
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray

from cup4soil.errors import InvalidInput, NotFound, StoreError
from cup4soil.methods.bare_soil import BANDS
from cup4soil.progress import Progress, Silent
from cup4soil.rasters.plain import write_plain
from cup4soil.staging import occupied, staged
from producers.simulation.bb250 import load_samples
from producers.simulation.landscape import Landscape, make_landscape
from producers.simulation.plan import SEASONS, Scene, draw_plan
from producers.simulation.rendering import render
from producers.simulation.stac import scene_folder, write_catalog

#: Changes whenever the same seed gives another archive.
VERSION = "1"
SIZES = (40, 2000)
_MANIFEST = "simulation.json"
_SOC_G_PER_KG = 10.0


@dataclass(frozen=True, slots=True)
class SimulatedLandscape:
    """A complete simulation in ``folder``: where its files are."""

    folder: Path
    seed: int
    size: int

    @classmethod
    def open(cls, folder: Path) -> Self:
        """The simulation that was made in ``folder``.

        Raises:
            NotFound: when there is none of this version.
        """
        manifest = _read_manifest(folder)
        if manifest is None or manifest["version"] != VERSION:
            raise NotFound(f"no simulated landscape in {folder}", "make one with simulate_archive")
        return cls(folder, int(manifest["seed"]), int(manifest["size"]))

    @property
    def catalog(self) -> Path:
        """The static STAC catalog of the scenes."""
        return self.folder / "catalog.json"

    @property
    def landcover(self) -> Path:
        """Land-cover map with WorldCover codes."""
        return self.folder / "landcover.tif"

    @property
    def samples(self) -> Path:
        """CSV of the real samples: id, x, y (EPSG:25833), soc (%), SRC_B02 ... SRC_B12 (reflectance 0 ... 1)."""
        return self.folder / "samples.csv"

    @property
    def true_soc(self) -> Path:
        """True SOC (g/kg) over the cropland."""
        return self.folder / "truth" / "soc.tif"

    @property
    def true_bare_count(self) -> Path:
        """Number of usable dates on which the cell was seen clearly and at least 85 % of it was bare soil."""
        return self.folder / "truth" / "bare_count.tif"

    @property
    def true_reflectance(self) -> Path:
        """Reflectance of the bare soil at mean moisture in the ten bands, over the cropland."""
        return self.folder / "truth" / "reflectance.tif"

    @property
    def true_landcover(self) -> Path:
        """Land cover as it is, tracks between the fields included."""
        return self.folder / "truth" / "landcover.tif"


def simulate_archive(
    folder: Path, seed: int = 20, progress: Progress | None = None, *, size: int = 500, threads: int = 2
) -> SimulatedLandscape:
    """Simulate two years of Sentinel-2 L2A over ``size`` x ``size`` cells of 20 m, with land cover, samples and truth.

    The files depend on ``seed`` and ``size`` alone; what was made with them before is used again. An interrupted run
    leaves nothing at ``folder``.

    Raises:
        InvalidInput: when seed, size or threads are out of range.
        StoreError: when ``folder`` holds something else, or cannot be written.
    """
    _check(seed, size, threads)
    if occupied(folder):
        return _existing(folder, seed, size)
    with staged(folder) as part:
        _make(part, seed, size, threads, progress or Silent())
    return SimulatedLandscape(folder, seed, size)


def _check(seed: int, size: int, threads: int) -> None:
    if seed < 0:
        raise InvalidInput(f"seed {seed} is negative", "give a whole number from 0")
    if not SIZES[0] <= size <= SIZES[1]:
        raise InvalidInput(f"a landscape of {size} cells across is out of range", f"give {SIZES[0]} to {SIZES[1]}")
    if threads < 1:
        raise InvalidInput(f"{threads} threads cannot work", "give a number from 1")


def _existing(folder: Path, seed: int, size: int) -> SimulatedLandscape:
    manifest = _read_manifest(folder)
    if manifest is None:
        raise StoreError(f"{folder} is not empty", "choose a new folder")
    wanted = _manifest(seed, size)
    if manifest != wanted:
        raise StoreError(f"{folder} holds another simulation: {manifest}", f"choose a new folder for {wanted}")
    return SimulatedLandscape(folder, seed, size)


def _manifest(seed: int, size: int) -> dict[str, str | int]:
    return {"simulation": "sentinel-2-l2a", "version": VERSION, "seed": seed, "size": size}


def _read_manifest(folder: Path) -> dict[str, str | int] | None:
    path = folder / _MANIFEST
    if not path.is_file():
        return None
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise StoreError(f"{path} is damaged: {error}", "remove the folder and simulate again") from error
    if not isinstance(manifest, dict) or not {"version", "seed", "size"} <= manifest.keys():
        raise StoreError(f"{path} is damaged: seed, size or version is missing", "remove the folder and simulate again")
    return manifest


def _make(folder: Path, seed: int, size: int, threads: int, progress: Progress) -> None:
    plan = draw_plan(seed)
    with progress.step("Drawing the landscape", 1) as advance:
        land = make_landscape(seed, size, SEASONS)
        advance()
    bare_count = np.zeros((size, size), dtype=np.uint8)
    clouds: dict[str, float] = {}
    with progress.step("Simulating scenes", len(plan)) as advance, _workers(threads) as pool:
        futures: dict[Future[tuple[NDArray[np.bool_], float]], Scene] = {
            pool.submit(_write_scene, folder, seed, scene, land): scene for scene in plan
        }
        for future in as_completed(futures):
            bare, clouds[futures[future].id] = future.result()
            bare_count += bare
            advance()
    write_catalog(folder, land.geobox, [(scene, clouds[scene.id]) for scene in plan], seed)
    mapped = land.mapped_land_cover()
    write_plain(folder / "landcover.tif", mapped, land.geobox, nodata=0, names=["WorldCover code, simulated"])
    _write_truth(folder / "truth", land, bare_count)
    load_samples().write(folder / "samples.csv")
    (folder / _MANIFEST).write_text(json.dumps(_manifest(seed, size), indent=1) + "\n", encoding="utf-8")


@contextmanager
def _workers(threads: int) -> Iterator[ThreadPoolExecutor]:
    """Threads that drop what they have not begun when the caller fails or is interrupted."""
    pool = ThreadPoolExecutor(threads)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _write_scene(folder: Path, seed: int, scene: Scene, land: Landscape) -> tuple[NDArray[np.bool_], float]:
    image = render(seed, scene, land)
    target = scene_folder(folder, scene)
    target.mkdir(parents=True)
    for band, values in zip(BANDS, image.dn, strict=True):
        write_plain(target / f"{band}.tif", values, land.geobox, nodata=0, names=[band])
    write_plain(target / "SCL.tif", image.scl, land.geobox, nodata=0, names=["SCL"])
    return image.bare, image.cloud_percent


def _write_truth(folder: Path, land: Landscape, bare_count: NDArray[np.uint8]) -> None:
    folder.mkdir()
    soc = np.where(land.cropland, land.soc * np.float32(_SOC_G_PER_KG), np.float32(np.nan))
    soil = np.where(land.cropland, land.soil, np.float32(np.nan))
    write_plain(folder / "soc.tif", soc, land.geobox, nodata=np.nan, names=["SOC (g/kg), simulated truth"])
    write_plain(folder / "reflectance.tif", soil, land.geobox, nodata=np.nan, names=BANDS)
    write_plain(folder / "bare_count.tif", bare_count, land.geobox, names=["Bare dates, simulated truth"])
    write_plain(folder / "landcover.tif", land.land_cover, land.geobox, nodata=0, names=["Land cover, simulated truth"])

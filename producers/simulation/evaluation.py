"""How close composite and soil map come to the simulated truth."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from odc.geo.geobox import GeoBox

from cup4soil.errors import InvalidRaster, NoData
from cup4soil.methods.bare_soil import BANDS
from cup4soil.rasters.reading import raster_info, read_on_grid
from producers.simulation.archive import SimulatedLandscape
from producers.simulation.landscape import CROPLAND

_BARE_MASK = 1
_NOMINAL = 0.90


@dataclass(frozen=True, slots=True)
class Truth:
    """What is true of the cells: land cover, SOC (g/kg), bare dates, soil reflectance (10, ...); NaN where none."""

    land_cover: NDArray[np.float32]
    soc: NDArray[np.float32]
    bare_count: NDArray[np.float32]
    reflectance: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Products:
    """What was made: surface mask, bare-soil counts, SRC (10, ...), SOC (g/kg), applicability; NaN where none."""

    mask: NDArray[np.float32]
    bare_count: NDArray[np.float32]
    src: NDArray[np.float32]
    soc: NDArray[np.float32]
    soc_q05: NDArray[np.float32]
    soc_q95: NDArray[np.float32]
    inside: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class SocScore:
    """SOC against the truth over ``cells`` cells: RMSE, ME and mean width of the interval in g/kg, coverage 0 ... 1."""

    cells: int
    rmse: float
    me: float
    mec: float
    coverage90: float
    width90: float


@dataclass(frozen=True, slots=True)
class DemoScore:
    """How close the products came; shares are 0 ... 1.

    ``composited_share``: of the true cropland. ``composited_elsewhere_share``: of the composited cells, those that
    are no cropland. ``bare_count_bias``: mean count minus true count on cropland; ``bare_found_share``: of the true
    bare dates, cell by cell min(count, true count). ``src_rmse`` and ``src_bias``: reflectance by band, against the
    soil at mean moisture. ``soc``: over composited cropland; ``soc_inside``: in the area of applicability, None where
    that is empty.
    """

    cropland_cells: int
    composited_share: float
    composited_elsewhere_share: float
    bare_count_bias: float
    bare_found_share: float
    src_rmse: dict[str, float]
    src_bias: dict[str, float]
    soc: SocScore
    inside_share: float
    soc_inside: SocScore | None

    def lines(self) -> list[str]:
        """The figures in words, a line each."""
        text = [
            f"Cropland composited: {self.composited_share:.1%} of {self.cropland_cells} cells",
            f"Composited cells that are no cropland: {self.composited_elsewhere_share:.1%}",
            f"Bare-soil dates found: {self.bare_found_share:.1%}, count off by {self.bare_count_bias:+.2f} on average",
            f"Bare-soil reflectance: RMSE {np.mean(list(self.src_rmse.values())):.4f} (mean of ten bands)",
            _soc_line("SOC on composited cropland", self.soc),
        ]
        if self.soc_inside is not None:
            text.append(_soc_line(f"SOC inside the area of applicability ({self.inside_share:.1%})", self.soc_inside))
        return text

    def to_json(self) -> str:
        """All figures as JSON."""
        return json.dumps(asdict(self), indent=1)


def evaluate(landscape: SimulatedLandscape, composite: Path, soil_map: Path) -> DemoScore:
    """Score the composite suite in the folder ``composite`` and the SOC map in ``soil_map`` on the truth's grid.

    Raises:
        NotFound: when a layer is missing.
        InvalidRaster: when a layer has not the bands expected.
        NoData: when no cropland was composited and mapped.
    """
    grid = raster_info(landscape.true_soc).geobox
    truth = Truth(
        _band(landscape.true_landcover, grid, categorical=True),
        _band(landscape.true_soc, grid),
        _band(landscape.true_bare_count, grid, categorical=True),
        read_on_grid(landscape.true_reflectance, grid),
    )
    products = Products(
        mask=_band(composite / "MASK.tif", grid, categorical=True),
        bare_count=_band(composite / "SFREQ.tif", grid, "BSC", categorical=True),
        src=_bands(composite / "SRC.tif", grid),
        soc=_band(soil_map / "mean.tif", grid),
        soc_q05=_band(soil_map / "q05.tif", grid),
        soc_q95=_band(soil_map / "q95.tif", grid),
        inside=_band(soil_map / "aoa.tif", grid, categorical=True),
    )
    return score(truth, products)


def score(truth: Truth, products: Products) -> DemoScore:
    """Compare arrays on one grid; see :class:`DemoScore`.

    Raises:
        NoData: when no cropland was composited and mapped.
    """
    cropland = truth.land_cover == CROPLAND
    composited = products.mask == _BARE_MASK
    used = cropland & composited
    mapped = used & np.isfinite(products.soc) & np.isfinite(truth.soc)
    if not mapped.any():
        raise NoData("no cell of the cropland was composited and mapped", "check threshold and land cover")
    counted = cropland & np.isfinite(products.bare_count)
    count, true_count = products.bare_count[counted], truth.bare_count[counted]
    error = (products.src - truth.reflectance)[:, used].astype(np.float64)
    inside = mapped & (products.inside == 1)
    return DemoScore(
        cropland_cells=int(cropland.sum()),
        composited_share=float(used.sum() / cropland.sum()),
        composited_elsewhere_share=float((composited & ~cropland).sum() / composited.sum()),
        bare_count_bias=float(np.mean(count - true_count)) if counted.any() else float("nan"),
        bare_found_share=float(np.minimum(count, true_count).sum() / max(1.0, float(true_count.sum()))),
        src_rmse=_by_band(np.sqrt(np.nanmean(error**2, axis=1))),
        src_bias=_by_band(np.nanmean(error, axis=1)),
        soc=_soc_score(truth, products, mapped),
        inside_share=float(inside.sum() / mapped.sum()),
        soc_inside=_soc_score(truth, products, inside) if inside.any() else None,
    )


def _soc_score(truth: Truth, products: Products, cells: NDArray[np.bool_]) -> SocScore:
    known, mean, low, high = (
        field[cells].astype(np.float64) for field in (truth.soc, products.soc, products.soc_q05, products.soc_q95)
    )
    error = mean - known
    variance = float(known.var())
    return SocScore(
        cells=int(cells.sum()),
        rmse=float(np.sqrt(np.mean(error**2))),
        me=float(error.mean()),
        mec=1.0 - float(np.mean(error**2)) / variance if variance > 0 else float("nan"),
        coverage90=float(np.mean((known >= low) & (known <= high))),
        width90=float(np.mean(high - low)),
    )


def _soc_line(what: str, soc: SocScore) -> str:
    return (
        f"{what}: RMSE {soc.rmse:.2f} g/kg, ME {soc.me:+.2f} g/kg, MEC {soc.mec:.2f}, "
        f"coverage of the {_NOMINAL:.0%} interval {soc.coverage90:.1%}, its mean width {soc.width90:.2f} g/kg"
    )


def _by_band(values: NDArray[np.float64]) -> dict[str, float]:
    return {band: float(value) for band, value in zip(BANDS, values, strict=True)}


def _bands(path: Path, grid: GeoBox) -> NDArray[np.float32]:
    values = read_on_grid(path, grid)
    if len(values) != len(BANDS):
        raise InvalidRaster(f"{path} has {len(values)} bands", f"give one band each for {', '.join(BANDS)}")
    return values


def _band(path: Path, grid: GeoBox, name: str | None = None, *, categorical: bool = False) -> NDArray[np.float32]:
    names = raster_info(path).names
    if name is not None and name not in names:
        raise InvalidRaster(f"{path} has no band {name}", f"it has {', '.join(names)}")
    values: NDArray[np.float32] = read_on_grid(path, grid, categorical=categorical)[names.index(name) if name else 0]
    return values

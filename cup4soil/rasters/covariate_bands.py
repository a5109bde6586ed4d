"""What a covariate raster and its STAC asset say of the bands: units, classes, scaling, missing values."""

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from rasterio.enums import ColorInterp

from cup4soil.errors import InvalidRaster
from cup4soil.rasters.covariate_items import StacAsset, StacBand
from cup4soil.rasters.reading import RasterInfo, open_raster

_NO_UNIT = {"", "1", "none", "unitless", "dimensionless"}


def known_unit(unit: str | None) -> str | None:
    """A unit of measure, None for a pure number and where nothing is stated."""
    return None if unit is None or unit.strip().lower() in _NO_UNIT else unit.strip()


def stated_units(source: Path | str) -> tuple[str | None, ...]:
    """Unit of each band as the file states it."""
    with open_raster(source) as dataset:
        return tuple(known_unit(unit) for unit in dataset.units)


def declares_classes(source: Path | str) -> bool:
    """True for a raster with a colour table: its numbers are codes."""
    with open_raster(source) as dataset:
        return dataset.count == 1 and dataset.colorinterp[0] is ColorInterp.palette


def with_statements(
    info: RasterInfo, units: tuple[str | None, ...], asset: StacAsset, what: str
) -> tuple[RasterInfo, tuple[str | None, ...]]:
    """``info`` and ``units`` with what the asset states where the file states nothing.

    Raises:
        InvalidRaster: when both state something else; ``what`` names the asset.
    """
    bands = _band_statements(asset, len(info.names))
    scales = [_one(f, b.scale, 1.0, "scale", what) for f, b in zip(info.scales, bands, strict=True)]
    offsets = [_one(f, b.offset, 0.0, "offset", what) for f, b in zip(info.offsets, bands, strict=True)]
    nodata = [_nodata(f, b, what) for f, b in zip(info.nodata, bands, strict=True)]
    stated = [own or known_unit(band.unit) for own, band in zip(units, bands, strict=True)]
    found = replace(info, scales=tuple(scales), offsets=tuple(offsets), nodata=tuple(nodata))
    return found, tuple(stated)


def _band_statements(asset: StacAsset, count: int) -> list[StacBand]:
    """One for each band: of the bands themselves, of the raster extension, or what the asset says of them all."""
    common = StacBand.model_validate(
        {"unit": asset.unit, "nodata": asset.nodata, "raster:scale": asset.scale, "raster:offset": asset.offset}
    )
    lists: Sequence[Sequence[StacBand]] = [b for b in (asset.bands, asset.raster_bands) if b and len(b) == count]
    found = []
    for index in range(count):
        said = [each[index] for each in lists] + [common]
        names = ("unit", "nodata", "scale", "offset")
        values = {name: next((v for v in (getattr(b, name) for b in said) if v is not None), None) for name in names}
        found.append(StacBand.model_construct(**values))
    return found


def _one(own: float, stated: float | None, unstated: float, name: str, what: str) -> float:
    if stated is None or math.isclose(own, stated, rel_tol=1e-9):
        return own
    if own != unstated:
        raise InvalidRaster(f"{what} has the {name} {own:g}, its item states {stated:g}", "mend the one that is wrong")
    return stated


def _nodata(own: float | None, band: StacBand, what: str) -> float | None:
    if band.nodata is None:
        return own
    stated = float(band.nodata)
    same = own is not None and (own == stated or (math.isnan(own) and math.isnan(stated)))
    if own is not None and not same:
        raise InvalidRaster(f"{what} has the nodata {own:g}, its item states {stated:g}", "mend the one that is wrong")
    return stated

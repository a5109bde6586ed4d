"""The layers of the composite suite: names, units, encoding to the integers of the files."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cup4soil.methods.bare_soil import BANDS
from cup4soil.methods.composite import MASK_CATEGORIES, CompositeBlock, over_rows
from cup4soil.methods.composite_kernels import store_rows
from cup4soil.methods.workspace import Workspace
from cup4soil.products import Band, Layer

NODATA = -10_000
# The index reaches below -1, and so below the suite's nodata once it is stored x 10 000.
INDEX_NODATA = -32_768
REFLECTANCE_SCALE = 1e-4
_COMMON = {
    "B02": ("blue", 0.4924),
    "B03": ("green", 0.5598),
    "B04": ("red", 0.6646),
    "B05": ("rededge071", 0.7041),
    "B06": ("rededge075", 0.7405),
    "B07": ("rededge078", 0.7828),
    "B08": ("nir", 0.8328),
    "B8A": ("nir08", 0.8647),
    "B11": ("swir16", 1.6137),
    "B12": ("swir22", 2.2024),
}
_MONTHS = (
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
)


def _spectral(name: str, title: str, description: str) -> Layer:
    bands = tuple(
        Band(
            name=f"{name}_{band}",
            description=f"{title}, {band}",
            common_name=_COMMON[band][0],
            center_wavelength_um=_COMMON[band][1],
        )
        for band in BANDS
    )
    return Layer(
        name=name,
        title=title,
        description=description,
        file=f"{name}.tif",
        bands=bands,
        nodata=NODATA,
        scale=REFLECTANCE_SCALE,
        roles=("data", "reflectance"),
    )


INDEX_LAYER = Layer(
    name="INDEX",
    title="Range of the bare-soil index",
    file="INDEX.tif",
    nodata=INDEX_NODATA,
    scale=1e-4,
    description="Least and largest index over the valid observations, before any outlier is removed.",
    bands=(
        Band(name="IMIN", description="Temporal minimum of the index"),
        Band(name="IMAX", description="Temporal maximum of the index"),
    ),
    roles=("data", "quality"),
)
VPC_MONTHLY_LAYER = Layer(
    name="VPC-MONTHLY",
    title="Monthly number of valid observations",
    file="VPC-MONTHLY.tif",
    nodata=NODATA,
    description="Valid observations in each calendar month over the whole period, before any outlier is removed.",
    bands=tuple(
        Band(name=f"VPC_{i:02d}", description=f"Valid observations in {month}") for i, month in enumerate(_MONTHS, 1)
    ),
    roles=("data", "quality"),
)

LAYERS: Mapping[str, Layer] = {
    layer.name: layer
    for layer in (
        _spectral("SRC", "Bare-soil reflectance", "Mean reflectance of the bare-soil observations."),
        _spectral(
            "SRC-STD",
            "Standard deviation of the bare-soil reflectance",
            "Sample standard deviation (n-1) of the bare-soil observations.",
        ),
        _spectral(
            "SRC-CI95",
            "95 % confidence half-width of the bare-soil reflectance",
            "1.96 * SRC-STD / sqrt(BSC), a half-width by the normal formula: "
            "with 3 observations its true coverage is about 81 %.",
        ),
        _spectral("MREF", "Mean reflectance", "Mean reflectance of all valid observations."),
        _spectral(
            "MREF-STD",
            "Standard deviation of the reflectance",
            "Sample standard deviation (n-1) of all valid observations.",
        ),
        Layer(
            name="SFREQ",
            title="Bare-soil frequency",
            file="SFREQ.tif",
            nodata=NODATA,
            description="Share of the valid observations that show bare soil (stored x 10 000), and both counts.",
            bands=(
                Band(name="BSF", description="Bare-soil frequency, BSC / VPC", scale=1e-4),
                Band(name="BSC", description="Bare-soil observations that enter SRC"),
                Band(name="VPC", description="Valid observations before any outlier is removed"),
            ),
        ),
        Layer(
            name="SFREQ-MONTHLY",
            title="Monthly bare-soil frequency",
            file="SFREQ-MONTHLY.tif",
            nodata=NODATA,
            scale=1e-4,
            description="Bare-soil frequency in each calendar month over the whole period.",
            bands=tuple(
                Band(name=f"BSF_{i:02d}", description=f"Bare-soil frequency in {month}")
                for i, month in enumerate(_MONTHS, 1)
            ),
        ),
        Layer(
            name="MASK",
            title="Surface mask",
            file="MASK.tif",
            nodata=NODATA,
            description="What was seen of the surface over the period.",
            bands=(Band(name="MASK", description="Surface class"),),
            categories=MASK_CATEGORIES,
            roles=("data", "mask"),
        ),
        INDEX_LAYER,
        VPC_MONTHLY_LAYER,
        Layer(
            name="SUSPECTS",
            title="Suspects of residual cloud",
            file="SUSPECTS.tif",
            nodata=NODATA,
            description="Observations that the outlier rule dropped as residual cloud or haze.",
            bands=(
                Band(name="VALID", description="Dropped among the valid observations (for MREF)"),
                Band(name="BARE", description="Dropped among the bare observations (for SRC)"),
            ),
            roles=("data", "quality"),
        ),
    )
}


class _Part(NamedTuple):
    """Some bands of a layer: ``values`` (bands, rows, columns) times ``scale`` where ``shown`` is not 0."""

    layer: str
    values: NDArray[np.generic]
    shown: NDArray[np.bool_]
    scale: float = 1.0


def encode_block(
    block: CompositeBlock, inside: NDArray[np.bool_] | None, *, threads: int = 1, workspace: Workspace | None = None
) -> dict[str, NDArray[np.int16]]:
    """Integers of every layer, (bands, rows, columns); nodata outside the area where ``inside`` is given.

    They lie in ``workspace`` where that is given, until it is used again.
    """
    shown = np.ones(block.vpc.shape, dtype=np.bool_) if inside is None else inside
    seen = shown & (block.vpc > 0)
    parts = [
        *(
            _Part(name, values, shown)
            for name, values in zip(
                ("SRC", "SRC-STD", "SRC-CI95", "MREF", "MREF-STD"),
                (block.src, block.src_std, block.src_ci95, block.mref, block.mref_std),
                strict=True,
            )
        ),
        _Part("SFREQ", block.bsf[np.newaxis], shown, 1e4),
        _Part("SFREQ", np.stack([block.bsc, block.vpc]), seen),
        _Part("SFREQ-MONTHLY", block.bsf_monthly, shown, 1e4),
        _Part("MASK", block.mask[np.newaxis], shown),
        _Part("SUSPECTS", block.suspects, seen),
        *_index_parts(block.index_range, block.vpc_monthly, shown),
    ]
    return _encoded(parts, threads, workspace or Workspace())


def encode_index(
    index_range: NDArray[np.float32], vpc_monthly: NDArray[np.int16], inside: NDArray[np.bool_] | None
) -> dict[str, NDArray[np.int16]]:
    """Integers of the layers INDEX and VPC-MONTHLY, which further observations can be added to exactly."""
    shown = np.ones(index_range.shape[1:], dtype=np.bool_) if inside is None else inside
    return _encoded(_index_parts(index_range, vpc_monthly, shown), 1, Workspace())


def _index_parts(
    index_range: NDArray[np.float32], vpc_monthly: NDArray[np.int16], shown: NDArray[np.bool_]
) -> list[_Part]:
    return [
        _Part(INDEX_LAYER.name, index_range, shown, 1e4),
        _Part(VPC_MONTHLY_LAYER.name, vpc_monthly, shown & vpc_monthly.any(axis=0)),
    ]


def _encoded(parts: Sequence[_Part], threads: int, workspace: Workspace) -> dict[str, NDArray[np.int16]]:
    """All layers, one behind the other in memory."""
    shape = parts[0].shown.shape
    whole: NDArray[np.int16] = workspace.empty("encoded", (sum(len(p.values) for p in parts), *shape), np.int16)

    def store(first: int, last: int) -> None:
        start = 0
        for part in parts:
            nodata = INDEX_NODATA if part.layer == INDEX_LAYER.name else NODATA
            out = whole[start : start + len(part.values)]
            store_rows(part.values, np.float32(part.scale), part.shown, nodata, first, last, out)
            start += len(part.values)

    over_rows(store, shape[0], threads)
    found: dict[str, NDArray[np.int16]] = {}
    start = 0
    for name in dict.fromkeys(part.layer for part in parts):
        bands = sum(len(part.values) for part in parts if part.layer == name)
        found[name] = whole[start : start + bands]
        start += bands
    return found

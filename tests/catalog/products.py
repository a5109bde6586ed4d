"""Products as the producers make them, small: folders with their files and records."""

import json
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from odc.geo.geobox import GeoBox
from PIL import Image

from cup4soil.grids import Bounds, Window, aligned_geobox, parse_crs
from cup4soil.products import (
    Algorithm,
    Band,
    Document,
    Extent,
    Layer,
    Measure,
    Period,
    ProductRecord,
    Source,
    product_id,
)
from cup4soil.rasters.writing import LayerWriter

SIZE = 40
CREATED = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
PERIOD = Period(start=datetime(2019, 1, 1, tzinfo=UTC), end=datetime(2021, 12, 31, 23, 59, 59, tzinfo=UTC))
COMMON_NAMES = {
    "B02": ("blue", 0.490),
    "B03": ("green", 0.560),
    "B04": ("red", 0.665),
    "B05": ("rededge071", 0.704),
    "B06": ("rededge075", 0.741),
    "B07": ("rededge078", 0.783),
    "B08": ("nir", 0.842),
    "B8A": ("nir08", 0.865),
    "B11": ("swir16", 1.610),
    "B12": ("swir22", 2.190),
}


def bands(layer: str) -> tuple[Band, ...]:
    """The ten bands of a composite's layer, named as the producer names them."""
    return tuple(
        Band(name=f"{layer}_{name}", description=name, common_name=common, center_wavelength_um=wavelength)
        for name, (common, wavelength) in COMMON_NAMES.items()
    )


def grid(left: float = 4_321_000, size: int = SIZE) -> GeoBox:
    """A small part of the European grid."""
    bounds = Bounds(left, 3_210_000, left + size * 20, 3_210_000 + size * 20)
    return aligned_geobox(bounds, parse_crs("EPSG:3035"), 20)


def write_layer(folder: Path, layer: Layer, values: np.ndarray, geobox: GeoBox) -> Layer:
    """Write ``values`` (bands, rows, columns), already in the layer's integers."""
    with LayerWriter(folder, layer, geobox) as writer:
        writer.write(Window(0, 0, *geobox.shape), values.astype(layer.dtype))
    return writer.layer


def scenes(count: int = 5) -> tuple[Source, ...]:
    """Scenes: two on the web, the others in a folder of this machine."""
    return tuple(
        Source(
            role="scene",
            id=f"sentinel-2-l2a/S2A_{i}",
            title=f"S2A_{i}",
            href=f"https://archive.example/S2A_{i}.json" if i < 2 else f"/home/somebody/archive/S2A_{i}.json",
            checksum=f"sha256:{i:064x}",
            licence="Copernicus-Sentinel",
            properties={"datetime": f"2019-0{i + 1}-15T10:30:00+00:00"},
        )
        for i in range(count)
    )


def composite(
    folder: Path, *, left: float = 4_321_000, size: int = SIZE, bare: bool = True, frequency: bool = False
) -> ProductRecord:
    """A bare-soil composite with SRC, MREF and MASK in ``folder``; with ``frequency`` also SFREQ, of mixed scales."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)
    geobox = grid(left, size)
    values = rng.integers(500, 4000, (10, size, size))
    src = values if bare else np.full_like(values, -10000)
    src[:, :, : size // 2] = -10000
    reflectance = {"nodata": -10000, "scale": 1e-4}
    layers = [
        (_layer("SRC", "Mean bare-soil reflectance", bands=bands("SRC"), **reflectance), src),
        (
            _layer("MREF", "Mean reflectance", bands=bands("MREF"), **reflectance),
            rng.integers(500, 4000, (10, size, size)),
        ),
        (
            _layer(
                "MASK",
                "Mask",
                nodata=0,
                dtype="uint8",
                bands=(Band(name="MASK"),),
                categories={1: "bare soil", 2: "permanently vegetated", 3: "other"},
            ),
            rng.integers(1, 4, (1, size, size)),
        ),
    ]
    if frequency:
        counted = (Band(name="BSF", scale=1e-4), Band(name="BSC"), Band(name="VPC"))
        sfreq = _layer("SFREQ", "Bare-soil frequency", nodata=-10000, bands=counted)
        layers.append((sfreq, rng.integers(0, 60, (3, size, size))))
    algorithm = Algorithm(
        name="scmap",
        version="1.0.0",
        title="SCMaP bare-soil composite",
        description="Mean of the bare observations by the index PVIR2.",
        parameters={"threshold": 0.2, "left": left},
        references=("Heiden, U. et al. (2022). Remote Sensing 14, 4526. https://doi.org/10.3390/rs14184526.",),
    )
    sources = scenes()
    return ProductRecord(
        id=product_id("src", algorithm, sources),
        collection="bare-soil-composites",
        kind="composite",
        title="Bare-soil composite 2019-2021",
        abstract="Reflectance of bare soil & more <see layers>.",
        keywords=("bare soil", "Sentinel-2"),
        period=PERIOD,
        extent=Extent.of_grid(geobox),
        algorithm=algorithm,
        sources=sources,
        quality=(_measure("share composited", 50.0, "%", "1600 observed cells"),),
        licence="CC-BY-SA-4.0",
        attribution=("contains modified Copernicus Sentinel data 2019-2021",),
        limitations=("SRC-CI95 is a half-width by the normal formula.",),
        layers=tuple(write_layer(folder, layer, values, geobox) for layer, values in layers),
        created=CREATED,
    )


def soil_map(folder: Path, sources: tuple[Source, ...] = (), *, simulated: bool = True) -> ProductRecord:
    """A map of soil organic carbon with its lineage document in ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(1)
    geobox = grid()
    names = {"mean": 0, "q05": -40, "q50": 0, "q95": 50}
    base = rng.integers(80, 250, (1, SIZE, SIZE))
    layers = [
        (_layer(name, name, nodata=-32768, scale=0.1, bands=(Band(name=name, unit="g/kg"),)), base + shift)
        for name, shift in names.items()
    ]
    aoa = _layer(
        "aoa",
        "Applicability",
        nodata=255,
        dtype="uint8",
        bands=(Band(name="aoa"),),
        categories={0: "outside", 1: "inside"},
    )
    layers.append((aoa, rng.integers(0, 2, (1, SIZE, SIZE))))
    algorithm = Algorithm(
        name="qrf-predict",
        version="1.0.0",
        title="Prediction by quantile regression forest",
        description="By block.",
        parameters={"levels": [0.05, 0.5, 0.95]},
        references=("Meinshausen, N. (2006). JMLR 7, 983-999.",),
    )
    (folder / "lineage.json").write_text(json.dumps({"made": "by hand"}), encoding="utf-8")
    return ProductRecord(
        id=product_id("soc-0-20cm", algorithm, sources),
        collection="soc-0-20cm",
        kind="soil-map",
        title="Soil organic carbon, 0-20 cm",
        abstract="Mean and quantiles of soil organic carbon.",
        keywords=("soil organic carbon",),
        property_code="soc",
        depth="0-20cm",
        period=PERIOD,
        extent=Extent.of_grid(geobox),
        algorithm=algorithm,
        sources=sources,
        quality=(_measure("RMSE, spatial folds", 2.5, "g/kg"), _measure("PICP90", 0.91, "1")),
        licence="CC-BY-SA-4.0",
        attribution=("LimeSoDa BB.250",),
        simulated=simulated,
        layers=tuple(write_layer(folder, layer, values, geobox) for layer, values in layers),
        documents=(_document("lineage", "lineage.json", "application/json", "metadata", "lineage"),),
        created=CREATED,
    )


def model(folder: Path, sources: tuple[Source, ...] = ()) -> ProductRecord:
    """A model with a report and a picture in ``folder``; it has no grid."""
    folder.mkdir(parents=True, exist_ok=True)
    np.savez(folder / "model.npz", a=np.arange(5))
    (folder / "report.html").write_text("<html></html>", encoding="utf-8")
    Image.new("RGB", (1000, 600), "white").save(folder / "overview.png")
    algorithm = Algorithm(
        name="qrf-train",
        version="1.0.0",
        title="Quantile regression forest",
        description="Grown on samples.",
        parameters={"trees": 500, "seed": 0, "log": True, "features": ["B02", "B03"]},
        references=("Meinshausen, N. (2006). Quantile regression forests. JMLR 7, 983-999.",),
    )
    return ProductRecord(
        id=product_id("soc-0-20cm-model", algorithm, sources),
        collection="models",
        kind="model",
        title="Model of soil organic carbon",
        abstract="A forest.",
        property_code="soc",
        depth="0-20cm",
        period=PERIOD,
        extent=Extent.of_bounds(Bounds(12.0, 51.5, 14.5, 53.5)),
        algorithm=algorithm,
        sources=sources,
        quality=(_measure("RMSE, random folds", 2.0, "g/kg"),),
        licence="CC-BY-SA-4.0",
        documents=(
            _document("model", "model.npz", "application/octet-stream", "model"),
            _document("report", "report.html", "text/html", "metadata", "report"),
            _document("overview", "overview.png", "image/png", "overview"),
        ),
        created=CREATED,
    )


def samples(folder: Path) -> ProductRecord:
    """A set of soil samples, of which only the report is published."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "samples-report.json").write_text(json.dumps({"rows": 250, "used": 247}), encoding="utf-8")
    algorithm = Algorithm(
        name="samples", version="1.0.0", title="Harmonised soil samples", description="", parameters={"target": "SOC"}
    )
    table = Source(
        role="samples",
        id="bb-250",
        title="BB.250",
        href="file:///home/somebody/BB.250.csv",
        checksum="sha256:" + "ab" * 32,
        licence="CC-BY-SA-4.0",
        attribution="LimeSoDa",
    )
    return ProductRecord(
        id=product_id("samples", algorithm, (table,)),
        collection="samples",
        kind="samples",
        title="Soil samples of Brandenburg",
        abstract="250 samples.",
        property_code="soc",
        depth="0-20cm",
        period=PERIOD,
        extent=Extent.of_bounds(Bounds(12.0, 51.5, 14.5, 53.5)),
        algorithm=algorithm,
        sources=(table,),
        licence="CC-BY-SA-4.0",
        documents=(_document("samples-report", "samples-report.json", "application/json", "metadata"),),
        created=CREATED,
    )


def product_source(record: ProductRecord, role: str) -> Source:
    """A registered product as the source of another."""
    return Source.model_validate({"role": role, "id": record.id, "title": record.title, "licence": record.licence})


def _layer(name: str, title: str, **fields: object) -> Layer:
    return Layer.model_validate(
        {"name": name, "title": title, "description": f"{title}.", "file": f"{name}.tif"} | fields
    )


def _measure(name: str, value: float, unit: str, support: str = "spatial folds, 247 samples") -> Measure:
    return Measure(name=name, value=value, unit=unit, description=f"{name} of the product.", support=support)


def _document(name: str, file: str, media_type: str, *roles: str) -> Document:
    return Document(name=name, title=name, file=file, media_type=media_type, roles=roles)

"""The simulated archive as a static STAC catalog."""

from collections.abc import Iterable, Sequence
from pathlib import Path

from odc.geo.geobox import GeoBox
from pystac import (
    Asset,
    Catalog,
    CatalogType,
    Collection,
    Extent,
    Item,
    MediaType,
    Provider,
    ProviderRole,
    SpatialExtent,
    TemporalExtent,
)

from cup4soil.areas import footprint
from cup4soil.grids import Bounds, crs_code, crs_of
from cup4soil.methods.bare_soil import BANDS
from producers.simulation.bb250 import ATTRIBUTION, LICENCE, LIMESODA_URL
from producers.simulation.plan import TILE, Scene

COLLECTION = "sentinel-2-l2a-simulated"
NOTICE = "Simulated, not observed: no satellite took these images."
SIMULATED_FIELD = "cup4soil:simulated"

_EXTENSIONS = [
    f"https://stac-extensions.github.io/{name}/schema.json"
    for name in ("eo/v2.0.0", "view/v1.0.0", "projection/v2.0.0", "raster/v2.0.0", "grid/v1.1.0", "sentinel-2/v1.0.0")
]
_COMMON = {
    "B02": ("blue", 0.490),
    "B03": ("green", 0.560),
    "B04": ("red", 0.665),
    "B05": ("rededge071", 0.704),
    "B06": ("rededge075", 0.740),
    "B07": ("rededge078", 0.783),
    "B08": ("nir", 0.842),
    "B8A": ("nir08", 0.865),
    "B11": ("swir16", 1.610),
    "B12": ("swir22", 2.190),
}
_SCALE = 0.0001
_TIFF = MediaType.GEOTIFF


def scene_folder(root: Path, scene: Scene) -> Path:
    """Where the files of ``scene`` lie below the archive's folder."""
    return root / COLLECTION / scene.id


def write_catalog(root: Path, geobox: GeoBox, scenes: Iterable[tuple[Scene, float]], seed: int) -> Path:
    """Write catalog, collection and one item per (scene, cloud cover in %) into ``root``; returns ``catalog.json``."""
    items = [_item(scene, cloud, geobox) for scene, cloud in scenes]
    catalog = Catalog(
        "cup4soil-simulated-archive",
        title="Simulated Sentinel-2 archive",
        description=f"{NOTICE} A landscape drawn at random (seed {seed}) for demonstration and tests.",
    )
    collection = _collection(items)
    collection.add_items(items)
    catalog.add_child(collection)
    catalog.normalize_hrefs(str(root))
    catalog.save(catalog_type=CatalogType.SELF_CONTAINED)
    return root / "catalog.json"


def _collection(items: Sequence[Item]) -> Collection:
    times = [item.datetime for item in items]
    return Collection(
        COLLECTION,
        title="Sentinel-2 L2A, simulated",
        description=(
            f"{NOTICE} Surface reflectance in the form of Sentinel-2 L2A over an invented landscape placed in "
            "Brandenburg, with clouds, shadows, haze, soil moisture, crops and noise. Bare-soil spectra follow soil "
            f"organic carbon as in the real samples of {ATTRIBUTION}."
        ),
        extent=Extent(SpatialExtent([items[0].bbox or []]), TemporalExtent([[times[0], times[-1]]])),
        license=LICENCE,
        keywords=["simulated", "Sentinel-2", "bare soil"],
        providers=[
            Provider("CUP4SOIL", "Drew the landscape and the images.", [ProviderRole.PRODUCER, ProviderRole.PROCESSOR]),
            Provider("LimeSoDa", f"Soil samples: {ATTRIBUTION}.", [ProviderRole.LICENSOR], LIMESODA_URL),
        ],
        extra_fields={SIMULATED_FIELD: True},
    )


def _item(scene: Scene, cloud_percent: float, geobox: GeoBox) -> Item:
    geometry = footprint(Bounds(*geobox.boundingbox.bbox), crs_of(geobox))
    ring = geometry["coordinates"][0]
    longitudes, latitudes = [point[0] for point in ring], [point[1] for point in ring]
    item = Item(
        scene.id,
        geometry,
        [min(longitudes), min(latitudes), max(longitudes), max(latitudes)],
        scene.when,
        _properties(scene, cloud_percent, geobox),
        stac_extensions=list(_EXTENSIONS),
    )
    for band in BANDS:
        item.add_asset(band, _band_asset(band, scene))
    item.add_asset(
        "SCL",
        Asset(
            "./SCL.tif",
            "Scene classification",
            "Classes of Sen2Cor, simulated.",
            _TIFF,
            ["data"],
            extra_fields={"gsd": 20, "data_type": "uint8", "nodata": 0},
        ),
    )
    return item


def _properties(scene: Scene, cloud_percent: float, geobox: GeoBox) -> dict[str, object]:
    return {
        "title": f"Simulated scene of {scene.when:%Y-%m-%d}",
        "description": NOTICE,
        SIMULATED_FIELD: True,
        "platform": scene.platform,
        "constellation": "sentinel-2",
        "instruments": ["msi"],
        "gsd": 20,
        "eo:cloud_cover": cloud_percent,
        "view:sun_elevation": round(scene.sun.elevation, 4),
        "view:sun_azimuth": round(scene.sun.azimuth, 4),
        "proj:code": crs_code(crs_of(geobox)),
        "proj:shape": list(geobox.shape),
        "proj:transform": list(geobox.affine)[:6],
        "grid:code": f"MGRS-{TILE}",
        "s2:mgrs_tile": TILE,
        "s2:processing_baseline": scene.baseline,
        "s2:datatake_id": scene.datatake,
    }


def _band_asset(band: str, scene: Scene) -> Asset:
    common, wavelength = _COMMON[band]
    return Asset(
        f"./{band}.tif",
        f"{band}, {common}",
        None,
        _TIFF,
        ["data", "reflectance"],
        extra_fields={
            "gsd": 20,
            "data_type": "uint16",
            "nodata": 0,
            "bands": [{"name": band, "eo:common_name": common, "eo:center_wavelength": wavelength}],
            "raster:scale": _SCALE,
            "raster:offset": -scene.dn_offset * _SCALE,
        },
    )

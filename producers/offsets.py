"""Which radiometric offset a scene's digital numbers carry.

From processing baseline 04.00 on, Sentinel-2 L2A numbers carry +1000 (BOA_ADD_OFFSET = -1000). Archives
say so in different forms, which are taken in this order; the one used goes into the lineage:

1. the user's setting for the archive, which spares scenes of a processing baseline below 04.00;
2. ``earthsearch:boa_offset_applied``: true means that the numbers are already shifted, even though such
   items go on stating -0.1 (the flag is known to be wrong at times: earth-search issues 66 and 71);
3. the asset: ``raster:offset``, ``bands[].raster:offset`` or ``raster:bands[].offset``, in reflectance;
4. the SAFE product metadata (``BOA_ADD_OFFSET``), where the item names a local file;
5. a processing baseline below 04.00, which has no offset.

What none of them tells is an error: an offset is never guessed from the date.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lxml import etree

from cup4soil.errors import InvalidInput, MissingOffset

_APPLIED = "earthsearch:boa_offset_applied"
_BASELINE_KEYS = (
    "s2:processing_baseline",
    "processing:version",
    "earthsearch:processing_baseline",
    "sentinel2:processing_baseline",
)
_FIRST_WITH_OFFSET = 4.0
_DN_PER_REFLECTANCE = 10_000.0
_SAFE_ASSETS = ("product_metadata", "product-metadata", "safe_manifest_metadata")
# MTD_MSIL2A.xml counts the thirteen bands of the instrument.
_SAFE_BANDS = ("B01", "B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B09", "B10", "B11", "B12")


@dataclass(frozen=True, slots=True)
class Scaling:
    """DN (reflectance x 10 000) = stored * ``gain`` + ``offset_dn``; ``origin`` says who stated it."""

    gain: float
    offset_dn: float
    origin: str


def scaling_of(
    band: str,
    asset: Mapping[str, Any],
    properties: Mapping[str, Any],
    safe: Mapping[str, float] | None,
    setting: float | None,
) -> Scaling:
    """Scaling of one band of one scene.

    Args:
        band: the band's name, such as ``B04``.
        asset: the asset as in the item's JSON.
        properties: the item's properties.
        safe: offsets by band from the product metadata, see :func:`safe_offsets`; None where there is none.
        setting: the user's offset in DN for what carries one, such as -1000, or 0 where it was removed.

    Raises:
        MissingOffset: when nothing tells the offset.
    """
    stated = _stated(asset)
    scale = stated.get("scale")
    gain = 1.0 if scale is None else float(scale) * _DN_PER_REFLECTANCE
    baseline = processing_baseline(properties)
    before_offsets = baseline is not None and baseline < _FIRST_WITH_OFFSET
    if setting is not None and not before_offsets:
        return Scaling(gain, float(setting), "setting")
    if properties.get(_APPLIED) is True:
        return Scaling(gain, 0.0, _APPLIED)
    if stated.get("offset") is not None:
        return Scaling(gain, round(float(stated["offset"]) * _DN_PER_REFLECTANCE, 6), "asset")
    if safe is not None:
        return Scaling(gain, safe.get(band, 0.0), "product metadata")
    if before_offsets:
        return Scaling(gain, 0.0, "processing baseline")
    raise MissingOffset(
        f"band {band} states no radiometric offset" + (f" (processing baseline {baseline:05.2f})" if baseline else ""),
        "set --boa-offset to what the archive's numbers carry: -1000, or 0 where it was removed",
    )


def processing_baseline(properties: Mapping[str, Any]) -> float | None:
    """Processing baseline as a number, such as 4.0 for ``04.00``, None where the item does not tell."""
    for key in _BASELINE_KEYS:
        value = properties.get(key)
        if value is not None:
            try:
                return float(value)
            except (TypeError, ValueError) as error:
                raise InvalidInput(f"{key} is {value!r}", "it has to be a processing baseline such as 04.00") from error
    return None


def safe_offsets(path: Path) -> dict[str, float]:
    """BOA_ADD_OFFSET by band name from a ``MTD_MSIL2A.xml``; empty before baseline 04.00, which has none.

    Raises:
        InvalidInput: when the file is no product metadata.
    """
    parser = etree.XMLParser(resolve_entities=False, no_network=True, load_dtd=False)
    try:
        root = etree.parse(str(path), parser).getroot()
    except (OSError, etree.XMLSyntaxError) as error:
        raise InvalidInput(f"{path} is no readable product metadata: {error}", "fetch it again") from error
    if not str(root.tag).endswith("Level-2A_User_Product"):
        raise InvalidInput(
            f"{path} is no Sentinel-2 L2A product metadata", "name the file MTD_MSIL2A.xml of the product"
        )
    return {_SAFE_BANDS[int(node.get("band_id", "0"))]: float(node.text or 0) for node in root.iter("BOA_ADD_OFFSET")}


def local_safe_metadata(assets: Mapping[str, Mapping[str, Any]], folder: Path | None) -> Path | None:
    """The item's product metadata where it is a local file, else None."""
    if folder is None:
        return None
    for name in _SAFE_ASSETS:
        href = str(assets.get(name, {}).get("href", ""))
        if href.endswith("MTD_MSIL2A.xml") and "://" not in href:
            path = Path(href) if href.startswith("/") else folder / href
            return path if path.is_file() else None
    return None


def _stated(asset: Mapping[str, Any]) -> dict[str, Any]:
    """Scale and offset as the asset states them, in any of the forms in use."""
    bands = asset.get("bands") or [{}]
    old = asset.get("raster:bands") or [{}]
    forms = (
        (asset.get("raster:scale"), asset.get("raster:offset")),
        (bands[0].get("raster:scale"), bands[0].get("raster:offset")),
        (old[0].get("scale"), old[0].get("offset")),
    )
    return {
        "scale": next((scale for scale, _ in forms if scale is not None), None),
        "offset": next((offset for _, offset in forms if offset is not None), None),
    }

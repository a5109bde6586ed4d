"""The part of an ISO record on what the layers hold: bands, units, scaling and classes."""

import re
from collections.abc import Iterator

from cup4soil.products import Layer, ProductRecord
from stac_catalog.iso_elements import Node, code, node, real, text, unit


def contents(record: ProductRecord) -> Iterator[Node]:
    """One ``gmd:contentInfo`` for each layer."""
    for layer in record.layers:
        kind = "thematicClassification" if layer.categories is not None else "physicalMeasurement"
        description = node(
            "gmd:MD_CoverageDescription",
            node("gmd:attributeDescription", node("gco:RecordType", f"{layer.name}: {layer.description}")),
            code("gmd:contentType", "MD_CoverageContentTypeCode", kind),
            *(node("gmd:dimension", _dimension(layer, index)) for index in range(len(layer.bands))),
        )
        yield node("gmd:contentInfo", description)


def _dimension(layer: Layer, index: int) -> Node:
    band = layer.bands[index]
    common = (_name(layer, index), text("gmd:descriptor", _descriptor(layer, index)))
    if band.center_wavelength_um is None:
        return node("gmd:MD_RangeDimension", *common)
    # The unit of a band in ISO 19115 is that of its wavelength.
    key = "wavelength-" + re.sub(r"[^0-9A-Za-z_.-]", "_", f"{layer.name}-{band.name}")
    return node(
        "gmd:MD_Band",
        *common,
        unit("gmd:units", "um", key),
        real("gmd:peakResponse", band.center_wavelength_um),
        real("gmd:scaleFactor", layer.scale_of(index)),
        real("gmd:offset", layer.offset),
    )


def _name(layer: Layer, index: int) -> Node:
    stored = node("gco:TypeName", node("gco:aName", node("gco:CharacterString", layer.dtype)))
    name = node("gco:aName", node("gco:CharacterString", layer.bands[index].name))
    return node("gmd:sequenceIdentifier", node("gco:MemberName", name, node("gco:attributeType", stored)))


def _descriptor(layer: Layer, index: int) -> str:
    """What the numbers of a band mean: classes, or unit and scaling."""
    band = layer.bands[index]
    described = band.description or layer.title
    if layer.categories is not None:
        classes = "; ".join(f"{value} = {title}" for value, title in sorted(layer.categories.items()))
        return f"{described}: {classes}; missing = {layer.nodata}"
    scaling = f"value = stored * {layer.scale_of(index):g} + {layer.offset:g}"
    return f"{described} [{band.unit}], {scaling}, missing = {layer.nodata}"

"""The capabilities document and exception report of WMTS 1.0.0 (OGC 07-057r7)."""

from collections.abc import Iterable
from typing import Any, Final

from lxml import etree
from lxml.builder import ElementMaker

from processors.coverages import Coverage
from processors.crs import CRS84, project_bounds
from processors.map_pictures import PNG, WEBP
from processors.map_styles import styles_of
from processors.tile_matrices import SETS, code_of, limits_of

SUFFIXES: Final = {PNG: "png", WEBP: "webp"}
_WMTS = "http://www.opengis.net/wmts/1.0"
_OWS = "http://www.opengis.net/ows/1.1"
_XLINK = "http://www.w3.org/1999/xlink"
_HREF = f"{{{_XLINK}}}href"
# What they make are elements, which lxml's types do not say.
_W: Any = ElementMaker(namespace=_WMTS, nsmap={None: _WMTS, "ows": _OWS, "xlink": _XLINK})
_O: Any = ElementMaker(namespace=_OWS, nsmap={"ows": _OWS, "xlink": _XLINK})

type _Element = Any


def capabilities(coverages: Iterable[Coverage], root: str) -> bytes:
    """What the service offers: a layer for each coverage; ``root`` is the service's address as clients see it."""
    wmts = f"{root}/tiles/wmts"
    document = _W.Capabilities(
        {"version": "1.0.0"},
        _O.ServiceIdentification(
            _O.Title("CUP4SOIL map tiles"), _O.ServiceType("OGC WMTS"), _O.ServiceTypeVersion("1.0.0")
        ),
        _O.OperationsMetadata(
            _operation("GetCapabilities", f"{wmts}/1.0.0/WMTSCapabilities.xml", f"{wmts}?"),
            _operation("GetTile", f"{wmts}/1.0.0/", f"{wmts}?"),
        ),
        _W.Contents(*(_layer(each, root) for each in coverages), *(_matrix_set(name) for name in SETS)),
        _W.ServiceMetadataURL({_HREF: f"{wmts}/1.0.0/WMTSCapabilities.xml"}),
    )
    return etree.tostring(document, xml_declaration=True, encoding="UTF-8")


def exception_report(code: str, text: str, locator: str | None = None) -> bytes:
    """A refusal as OWS 1.1 words it."""
    named = {"exceptionCode": code} | ({"locator": locator} if locator else {})
    shown = "".join(each if each.isprintable() else " " for each in text)
    report = _O.ExceptionReport({"version": "1.1.0"}, _O.Exception(named, _O.ExceptionText(shown)))
    return etree.tostring(report, xml_declaration=True, encoding="UTF-8")


def _operation(name: str, rest: str, kvp: str) -> _Element:
    return _O.Operation({"name": name}, _O.DCP(_O.HTTP(_get(rest, "RESTful"), _get(kvp, "KVP"))))


def _get(address: str, encoding: str) -> _Element:
    return _O.Get({_HREF: address}, _O.Constraint({"name": "GetEncoding"}, _O.AllowedValues(_O.Value(encoding))))


def _layer(coverage: Coverage, root: str) -> _Element:
    name = coverage.collection
    template = f"{root}/tiles/wmts/1.0.0/{name}/{{Style}}/{{TileMatrixSet}}/{{TileMatrix}}/{{TileRow}}/{{TileCol}}"
    return _W.Layer(
        _O.Title(coverage.title),
        *_box(coverage),
        _O.Identifier(name),
        *_styles(coverage, root),
        *(_W.Format(kind) for kind in SUFFIXES),
        *(_link(each, coverage) for each in SETS),
        *(
            _W.ResourceURL({"format": kind, "resourceType": "tile", "template": f"{template}.{suffix}"})
            for kind, suffix in SUFFIXES.items()
        ),
    )


def _box(coverage: Coverage) -> list[etree._Element]:
    bounds = project_bounds(coverage.bounds, coverage.crs, CRS84.crs)
    if bounds is None:
        return []
    lower, upper = f"{bounds.left:.9g} {bounds.bottom:.9g}", f"{bounds.right:.9g} {bounds.top:.9g}"
    return [_O.WGS84BoundingBox(_O.LowerCorner(lower), _O.UpperCorner(upper))]


def _styles(coverage: Coverage, root: str) -> list[etree._Element]:
    base = f"{root}/ogc/collections/{coverage.collection}/styles"
    return [
        _W.Style(
            {"isDefault": "true"} if position == 0 else {},
            _O.Title(style.title),
            _O.Identifier(style.id),
            _W.LegendURL({"format": PNG, _HREF: f"{base}/{style.id}/legend?f=png"}),
        )
        for position, style in enumerate(styles_of(coverage).values())
    ]


def _link(name: str, coverage: Coverage) -> _Element:
    limits = [
        _W.TileMatrixLimits(
            _W.TileMatrix(each.matrix),
            _W.MinTileRow(str(each.first_row)),
            _W.MaxTileRow(str(each.last_row)),
            _W.MinTileCol(str(each.first_col)),
            _W.MaxTileCol(str(each.last_col)),
        )
        for each in limits_of(name, coverage)
    ]
    within = [_W.TileMatrixSetLimits(*limits)] if limits else []
    return _W.TileMatrixSetLink(_W.TileMatrixSet(name), *within)


def _matrix_set(name: str) -> _Element:
    """The set as the registry has it; corners stand in the order of the CRS's axes, in both documents."""
    levels = [
        _W.TileMatrix(
            _O.Identifier(level.id),
            _W.ScaleDenominator(repr(float(level.scaleDenominator))),
            _W.TopLeftCorner(" ".join(repr(float(each)) for each in level.pointOfOrigin)),
            _W.TileWidth(str(level.tileWidth)),
            _W.TileHeight(str(level.tileHeight)),
            _W.MatrixWidth(str(level.matrixWidth)),
            _W.MatrixHeight(str(level.matrixHeight)),
        )
        for level in SETS[name].tileMatrices
    ]
    crs = "urn:ogc:def:crs:EPSG::" + code_of(name).removeprefix("EPSG:")
    scales = SETS[name].wellKnownScaleSet
    known = [_W.WellKnownScaleSet("urn:ogc:def:wkss:OGC:1.0:GoogleMapsCompatible")] if scales is not None else []
    return _W.TileMatrixSet(_O.Title(str(SETS[name].title)), _O.Identifier(name), _O.SupportedCRS(crs), *known, *levels)

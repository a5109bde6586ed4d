"""Building blocks of ISO 19139 XML (schemas of 2007-04-17, GML 3.2)."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Final

from lxml import etree

NAMESPACES: Final[Mapping[str, str]] = {
    "gmd": "http://www.isotc211.org/2005/gmd",
    "gco": "http://www.isotc211.org/2005/gco",
    "gmx": "http://www.isotc211.org/2005/gmx",
    "srv": "http://www.isotc211.org/2005/srv",
    "gml": "http://www.opengis.net/gml/3.2",
    "xlink": "http://www.w3.org/1999/xlink",
    "xsi": "http://www.w3.org/2001/XMLSchema-instance",
}
_CODE_LISTS = "http://standards.iso.org/iso/19139/resources/gmxCodelists.xml"

type Node = etree._Element


def node(tag: str, *content: Node | str | None, attributes: Mapping[str, str] | None = None) -> Node:
    """Element ``prefix:name`` with text or children; None among the children is left out."""
    element = etree.Element(_name(tag), nsmap=dict(NAMESPACES))
    for name, value in (attributes or {}).items():
        element.set(_name(name), value)
    for part in content:
        if isinstance(part, str):
            element.text = part
        elif part is not None:
            element.append(part)
    return element


def text(tag: str, value: str) -> Node:
    """Property with free text."""
    return node(tag, node("gco:CharacterString", value))


def anchor(tag: str, href: str, label: str) -> Node:
    """Property with a text that stands for the concept at ``href``."""
    return node(tag, node("gmx:Anchor", label, attributes={"xlink:href": href}))


def absent(tag: str, reason: str) -> Node:
    """Property without a value: ``reason`` is missing, unknown, inapplicable or withheld."""
    return node(tag, attributes={"gco:nilReason": reason})


def code(tag: str, code_list: str, value: str) -> Node:
    """Property whose value comes from an ISO code list."""
    return node(tag, code_value(code_list, value))


def code_value(code_list: str, value: str) -> Node:
    """Value of an ISO code list."""
    attributes = {"codeList": f"{_CODE_LISTS}#{code_list}", "codeListValue": value}
    return node(f"gmd:{code_list}", value, attributes=attributes)


def language(tag: str) -> Node:
    """Property that says English, by the code list of ISO 639-2."""
    attributes = {"codeList": "http://www.loc.gov/standards/iso639-2/", "codeListValue": "eng"}
    return node(tag, node("gmd:LanguageCode", "English", attributes=attributes))


def boolean(tag: str, value: bool) -> Node:
    """Property that is true or false."""
    return node(tag, node("gco:Boolean", "true" if value else "false"))


def real(tag: str, value: float) -> Node:
    """Property with a number."""
    return node(tag, node("gco:Real", number(value)))


def integer(tag: str, value: int) -> Node:
    """Property with a whole number."""
    return node(tag, node("gco:Integer", str(value)))


def number(value: float) -> str:
    """Shortest text of a number that reads back as the same."""
    return repr(float(value))


def day(tag: str, when: date | int) -> Node:
    """Property with a day, or a year of which no more is known."""
    return node(tag, node("gco:Date", f"{when:04d}" if isinstance(when, int) else f"{when:%Y-%m-%d}"))


def date_of(kind: str, when: date | int | None) -> Node:
    """Date of a citation: creation, publication or revision; unknown without ``when``."""
    if when is None:
        return absent("gmd:date", "unknown")
    return node("gmd:date", node("gmd:CI_Date", day("gmd:date", when), code("gmd:dateType", "CI_DateTypeCode", kind)))


def identifier(value: str) -> Node:
    """Identifier of a citation."""
    return node("gmd:identifier", node("gmd:MD_Identifier", text("gmd:code", value)))


def unit(tag: str, symbol: str, key: str) -> Node:
    """Property with a unit of measure, base or derived; ``key`` is unique in the document."""
    definition = node(
        "gml:UnitDefinition",
        node("gml:identifier", symbol, attributes={"codeSpace": "cup4soil:unit"}),
        node("gml:name", symbol),
        attributes={"gml:id": key},
    )
    return node(tag, definition)


def period(tag: str, start: datetime, end: datetime, key: str) -> Node:
    """Property with a period of time, in UTC; ``key`` is unique in the document."""
    positions = [
        node(f"gml:{name}", f"{when:%Y-%m-%dT%H:%M:%SZ}")
        for name, when in (("beginPosition", start), ("endPosition", end))
    ]
    return node(tag, node("gml:TimePeriod", *positions, attributes={"gml:id": key}))


def many(items: Iterable[Node]) -> tuple[Node, ...]:
    """The nodes, for use among the content of another."""
    return tuple(items)


def _name(tag: str) -> str:
    prefix, found, name = tag.partition(":")
    return f"{{{NAMESPACES[prefix]}}}{name}" if found else tag

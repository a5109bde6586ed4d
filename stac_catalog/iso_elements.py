"""Building blocks of ISO 19139 XML (schemas of 2007-04-17, GML 3.2).

A record is put together from nodes, which nobody changes, and becomes XML as a whole, by :func:`element`. Parts that
many records have in common are made by functions that are :func:`common`.
"""

from collections.abc import Callable, Iterable, Mapping
from copy import deepcopy
from datetime import date, datetime
from functools import cache, lru_cache, wraps
from typing import Final, NamedTuple, cast

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

_MOST_KEPT: Final = 1024  # parts of each kind: more than there are codes, licences or parameters of soil

type Element = etree._Element


class Branch(NamedTuple):
    """An element to be. Names are those of XML: ``{namespace}name``."""

    name: str
    text: str | None
    children: "tuple[Node, ...]"
    attributes: tuple[tuple[str, str], ...]


# Of a part of a record: what it will be, or its XML, which is copied into each.
type Node = Branch | Element


def node(tag: str, *content: Node | str | None, attributes: Mapping[str, str] | None = None) -> Node:
    """Element ``prefix:name`` with text or children; None among the children is left out."""
    text: str | None = None
    children = []
    for part in content:
        if isinstance(part, str):
            text = part
        elif part is not None:
            children.append(part)
    named = tuple((_name(name), value) for name, value in attributes.items()) if attributes else ()
    return Branch(_name(tag), text, tuple(children), named)


def common[**P](make: Callable[P, Node]) -> Callable[P, Node]:
    """Let a function make the XML of each node once, for all records that have the part."""

    @lru_cache(maxsize=_MOST_KEPT)
    @wraps(make)
    def made(*arguments: P.args, **named: P.kwargs) -> Node:
        return element(make(*arguments, **named))

    return cast("Callable[P, Node]", made)  # arguments are as those of ``make``, which the cache does not tell


def element(root: Node) -> Element:
    """The XML of a node and all below it.

    Raises:
        ValueError: when a text holds characters that XML cannot.
    """
    if not isinstance(root, Branch):
        return deepcopy(root)
    made = etree.Element(root.name, dict(root.attributes), nsmap=dict(NAMESPACES))
    _fill(made, root)
    return made


def document(root: Element) -> bytes:
    """The content of an XML file."""
    content: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)
    return content


def _fill(made: Element, branch: Branch) -> None:
    # Children are made in their places: of each that is brought in, lxml has to look through all the namespaces.
    if branch.text is not None:
        made.text = branch.text
    for child in branch.children:
        if isinstance(child, Branch):
            _fill(etree.SubElement(made, child.name, dict(child.attributes)), child)
        else:
            made.append(deepcopy(child))


def text(tag: str, value: str) -> Node:
    """Property with free text."""
    return node(tag, node("gco:CharacterString", value))


def anchor(tag: str, href: str, label: str) -> Node:
    """Property with a text that stands for the concept at ``href``."""
    return node(tag, node("gmx:Anchor", label, attributes={"xlink:href": href}))


@common
def absent(tag: str, reason: str) -> Node:
    """Property without a value: ``reason`` is missing, unknown, inapplicable or withheld."""
    return node(tag, attributes={"gco:nilReason": reason})


@common
def code(tag: str, code_list: str, value: str) -> Node:
    """Property whose value comes from an ISO code list."""
    return node(tag, code_value(code_list, value))


def code_value(code_list: str, value: str) -> Node:
    """Value of an ISO code list."""
    attributes = {"codeList": f"{_CODE_LISTS}#{code_list}", "codeListValue": value}
    return node(f"gmd:{code_list}", value, attributes=attributes)


@common
def language(tag: str) -> Node:
    """Property that says English, by the code list of ISO 639-2."""
    attributes = {"codeList": "http://www.loc.gov/standards/iso639-2/", "codeListValue": "eng"}
    return node(tag, node("gmd:LanguageCode", "English", attributes=attributes))


@common
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


@cache
def _name(tag: str) -> str:
    prefix, found, name = tag.partition(":")
    return f"{{{NAMESPACES[prefix]}}}{name}" if found else tag

"""JSON-LD of the kind that :mod:`stac_catalog.dcat` makes, as RDF/XML for harvesters that know no other."""

from collections.abc import Mapping
from typing import Any, Final

from lxml import etree

from cup4soil.errors import InvalidInput

_RDF: Final = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
_LANGUAGE: Final = "{http://www.w3.org/XML/1998/namespace}lang"


def rdf_xml(document: Mapping[str, Any]) -> bytes:
    """The document's statements; its context may hold prefixes only, and every node needs a type or an id.

    Raises:
        InvalidInput: when a text holds characters that XML cannot.
    """
    prefixes: dict[str, str] = dict(document["@context"])
    root = etree.Element(f"{{{_RDF}}}RDF", nsmap={"rdf": _RDF, **prefixes})
    try:
        root.append(_node(document, prefixes))
    except ValueError as error:
        raise InvalidInput(
            f"metadata of {document.get('@id')}: {error}", "use texts without control characters"
        ) from error
    text: bytes = etree.tostring(root, xml_declaration=True, encoding="UTF-8", pretty_print=True)
    return text


def _node(value: Mapping[str, Any], prefixes: Mapping[str, str]) -> etree._Element:
    first, *others = _many(value["@type"])
    element = etree.Element(_name(first, prefixes))
    if "@id" in value:
        element.set(f"{{{_RDF}}}about", value["@id"])
    for each in others:
        etree.SubElement(element, f"{{{_RDF}}}type").set(f"{{{_RDF}}}resource", _address(each, prefixes))
    for name, objects in value.items():
        if not name.startswith("@"):
            for each in _many(objects):
                element.append(_property(name, each, prefixes))
    return element


def _property(name: str, value: Any, prefixes: Mapping[str, str]) -> etree._Element:
    element = etree.Element(_name(name, prefixes))
    if not isinstance(value, Mapping):
        element.text = str(value)
    elif "@value" in value:
        element.text = str(value["@value"])
        if "@language" in value:
            element.set(_LANGUAGE, value["@language"])
        elif "@type" in value:
            element.set(f"{{{_RDF}}}datatype", _address(value["@type"], prefixes))
    elif "@type" in value:
        element.append(_node(value, prefixes))
    else:
        element.set(f"{{{_RDF}}}resource", value["@id"])
    return element


def _many(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _address(name: str, prefixes: Mapping[str, str]) -> str:
    prefix, _, local = name.partition(":")
    return prefixes[prefix] + local


def _name(name: str, prefixes: Mapping[str, str]) -> str:
    prefix, _, local = name.partition(":")
    return f"{{{prefixes[prefix]}}}{local}"

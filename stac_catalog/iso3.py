"""A product record in ISO 19115-3:2018 XML (mdb 2.0), with quality by ISO 19157-2.

Made from the ISO 19139 record of the same product, element by element, so that the two cannot disagree. Classes and
their order follow the schemas that ISO publishes; what has another shape there is rebuilt by a function of its own.
"""

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from typing import Final

from lxml import etree

from cup4soil.products import ProductRecord
from cup4soil.settings import Settings
from stac_catalog.iso import iso_element
from stac_catalog.iso_elements import NAMESPACES as OLD
from stac_catalog.iso_elements import Element, document
from stac_catalog.places import Places

_ISO: Final = "http://standards.iso.org/iso"
_PARTS: Final = {
    "cit": "2.0", "gco": "1.0", "gcx": "1.0", "gex": "1.0", "lan": "1.0", "mcc": "1.0", "mco": "1.0", "mdb": "2.0",
    "mrc": "2.0", "mrd": "1.0", "mri": "1.0", "mrl": "2.0", "mrs": "1.0", "msr": "2.0",
}  # fmt: skip
NAMESPACES: Final[Mapping[str, str]] = {
    **{part: f"{_ISO}/19115/-3/{part}/{version}" for part, version in _PARTS.items()},
    "mdq": f"{_ISO}/19157/-2/mdq/1.0",
    "gml": OLD["gml"],
    "xlink": OLD["xlink"],
    "xsi": OLD["xsi"],
}
SCHEMA: Final = f"{NAMESPACES['mdb']}/mdb.xsd"
_CODE_LISTS: Final = f"{_ISO}/19115/resources/Codelists/cat/codelists.xml"
# In which part of the standard a class, or a family of classes, is found.
_FAMILIES: Final = {"CI_": "cit", "DQ_": "mdq", "EX_": "gex", "LI_": "mrl"}
_CLASSES: Final = {
    "LanguageCode": "lan", "MD_Band": "mrc", "MD_CellGeometryCode": "msr", "MD_CharacterSetCode": "lan",
    "MD_Constraints": "mco", "MD_CoverageContentTypeCode": "mrc", "MD_CoverageDescription": "mrc",
    "MD_DataIdentification": "mri", "MD_DigitalTransferOptions": "mrd", "MD_Dimension": "msr",
    "MD_DimensionNameTypeCode": "msr", "MD_Distribution": "mrd", "MD_Format": "mrd",
    "MD_GridSpatialRepresentation": "msr", "MD_Identifier": "mcc", "MD_KeywordTypeCode": "mri", "MD_Keywords": "mri",
    "MD_LegalConstraints": "mco", "MD_ProgressCode": "mcc", "MD_RangeDimension": "mrc", "MD_ReferenceSystem": "mrs",
    "MD_Resolution": "mri", "MD_RestrictionCode": "mco", "MD_Scope": "mcc", "MD_ScopeCode": "mcc",
    "MD_ScopeDescription": "mcc", "MD_SpatialRepresentationTypeCode": "mcc", "MD_TopicCategoryCode": "mri",
}  # fmt: skip
_RENAMED: Final = {"RS_Identifier": "MD_Identifier", "DQ_Scope": "MD_Scope"}
# Members whose name or whose place among the others differs.
_MEMBERS: Final = {"descriptor": "description"}
_ORDER: Final = {
    "MD_DataIdentification": (
        "citation", "abstract", "credit", "status", "pointOfContact", "spatialRepresentationType", "spatialResolution",
        "topicCategory", "extent", "descriptiveKeywords", "resourceConstraints", "defaultLocale",
    ),
    "MD_Band": ("sequenceIdentifier", "description", "units", "scaleFactor", "offset", "peakResponse"),
    "DQ_QuantitativeResult": ("value", "valueUnit"),
}  # fmt: skip


def iso3_record(record: ProductRecord, settings: Settings, places: Places | None = None) -> bytes:
    """The metadata record of a product as an XML file; see :func:`iso3_element`."""
    return document(iso3_element(record, settings, places))


def iso3_element(record: ProductRecord, settings: Settings, places: Places | None = None) -> Element:
    """The metadata record of a product; files are named relative to it where no ``places`` tell where they are.

    Raises:
        InvalidInput: when a text holds characters that XML cannot.
    """
    return _metadata(iso_element(record, settings, places))


def _metadata(old: Element) -> Element:
    of = _Members(old)
    quality = of.one("dataQualityInfo")
    lineage = None if quality is None else quality.find(f".//{_old('LI_Lineage')}")
    root = _new(
        "mdb:MD_Metadata",
        _new("mdb:metadataIdentifier", _new("mcc:MD_Identifier", *of.texts("fileIdentifier", "mcc:code"))),
        _locale("mdb:defaultLocale", of),
        _new("mdb:parentMetadata", _new("cit:CI_Citation", *of.texts("parentIdentifier", "cit:title"))),
        _scope(of),
        *of.members("mdb", "contact"),
        _new("mdb:dateInfo", _date(of)),
        _new("mdb:metadataStandard", _citation("ISO 19115-3", "2018")),
        *of.members("mdb", "spatialRepresentationInfo", "referenceSystemInfo", "identificationInfo", "contentInfo"),
        *of.members("mdb", "distributionInfo", "dataQualityInfo"),
        None if lineage is None else _new("mdb:resourceLineage", _value(lineage)),
    )
    root.set(f"{{{NAMESPACES['xsi']}}}schemaLocation", f"{NAMESPACES['mdb']} {SCHEMA}")
    return root


class _Members:
    """The members of an element, found by their names."""

    def __init__(self, element: Element) -> None:
        self._element = element

    def all(self, name: str) -> list[Element]:
        return self._element.findall(_old(name))

    def one(self, name: str) -> Element | None:
        return self._element.find(_old(name))

    def members(self, prefix: str, *names: str) -> Iterator[Element]:
        """All members of these names, in the order of the names."""
        return (_member(each, prefix) for name in names for each in self.all(name))

    def texts(self, name: str, tag: str) -> Iterator[Element]:
        """Members of a name as members ``tag``."""
        prefix, _, new = tag.partition(":")
        return (_member(each, prefix, new) for each in self.all(name))


def _member(old: Element, prefix: str, name: str | None = None) -> Element:
    """A member of a class, with its value; ``prefix`` is that of the class."""
    local = etree.QName(old).localname
    new = _new(f"{prefix}:{name or _MEMBERS.get(local, local)}", *(_value(each) for each in old))
    for key, value in old.attrib.items():
        new.set(_attribute(str(key)), str(value))
    return new


def _value(old: Element) -> Element:
    """An object, a code, or a value of a basic type."""
    name = etree.QName(old)
    if name.namespace == OLD["gml"]:
        return deepcopy(old)
    if name.namespace == OLD["gco"]:
        return _basic(old, f"gco:{name.localname}")
    if name.namespace == OLD["gmx"]:
        return _basic(old, f"gcx:{name.localname}")
    if name.localname == "URL":
        return _basic(old, "gco:CharacterString")
    if name.localname in _SHAPES:
        return _SHAPES[name.localname](old)
    tag = _tag(name.localname)
    if len(old) == 0:
        return _code(old, tag)
    return _in_order(_new(tag, *(_member(each, tag.partition(":")[0]) for each in old)))


def _basic(old: Element, tag: str) -> Element:
    new = _new(tag, *(_value(each) for each in old))
    new.text = old.text
    for key, value in old.attrib.items():
        new.set(_attribute(str(key)), str(value))
    return new


def _code(old: Element, tag: str) -> Element:
    new = _basic(old, tag)
    listed = new.get("codeList", "")
    if listed.startswith(_ISO):
        new.set("codeList", f"{_CODE_LISTS}#{listed.partition('#')[2]}")
    return new


def _in_order(new: Element) -> Element:
    """The same element with its members in the order of the schema."""
    order = _ORDER.get(etree.QName(new).localname)
    if order is not None:
        new[:] = sorted(new, key=lambda each: order.index(etree.QName(each).localname))
    return new


def _responsibility(old: Element) -> Element:
    of = _Members(old)
    party = _new("cit:CI_Organisation", *of.texts("organisationName", "cit:name"), *of.members("cit", "contactInfo"))
    return _new("cit:CI_Responsibility", *of.members("cit", "role"), _new("cit:party", party))


def _identification(old: Element) -> Element:
    of = _Members(old)
    left = [each for each in old if etree.QName(each).localname not in ("language", "characterSet")]
    members = [_member(each, "mri") for each in left]
    return _in_order(_new("mri:MD_DataIdentification", *members, _locale("mri:defaultLocale", of)))


def _coverage(old: Element) -> Element:
    of = _Members(old)
    dimensions = of.texts("dimension", "mrc:attribute")
    group = _new("mrc:MD_AttributeGroup", *of.members("mrc", "contentType"), *dimensions)
    described = of.members("mrc", "attributeDescription")
    return _new("mrc:MD_CoverageDescription", *described, _new("mrc:attributeGroup", group))


def _format(old: Element) -> Element:
    of = _Members(old)
    citation = _new("cit:CI_Citation", *of.texts("name", "cit:title"), *of.texts("version", "cit:edition"))
    return _new("mrd:MD_Format", _new("mrd:formatSpecificationCitation", citation))


def _quality(old: Element) -> Element:
    return _new("mdq:DQ_DataQuality", *_Members(old).members("mdq", "scope", "report"))


def _report(old: Element) -> Element:
    of = _Members(old)
    measure = [*of.members("mdq", "nameOfMeasure", "measureDescription")]
    method = [*of.members("mdq", "evaluationMethodDescription")]
    return _new(
        f"mdq:{etree.QName(old).localname}",
        _new("mdq:measure", _new("mdq:DQ_MeasureReference", *measure)) if measure else None,
        _new("mdq:evaluationMethod", _new("mdq:DQ_EvaluationMethod", *method)) if method else None,
        *of.members("mdq", "result"),
    )


def _lineage(old: Element) -> Element:
    return _new("mrl:LI_Lineage", *_Members(old).members("mrl", "statement", "source", "processStep"))


def _step(old: Element) -> Element:
    of = _Members(old)
    when = old.findtext(f"{_old('dateTime')}/{{{OLD['gco']}}}DateTime")
    instant = _new("gml:TimeInstant", _new("gml:timePosition", when or ""))
    instant.set(f"{{{OLD['gml']}}}id", "step-time")
    date = _new("mrl:stepDateTime", instant) if when else None
    return _new("mrl:LI_ProcessStep", *of.members("mrl", "description"), date)


def _source(old: Element) -> Element:
    of = _Members(old)
    extents = [*of.texts("sourceExtent", "mcc:extent")]
    scope = _new("mcc:MD_Scope", _new("mcc:level", _listed("mcc:MD_ScopeCode", "dataset")), *extents)
    described = of.members("mrl", "description", "sourceCitation")
    return _new("mrl:LI_Source", *described, _new("mrl:scope", scope) if extents else None)


def _scope(of: _Members) -> Element:
    scope = _new("mdb:resourceScope", *(_value(each) for level in of.all("hierarchyLevel") for each in level))
    return _new("mdb:metadataScope", _new("mdb:MD_MetadataScope", scope, *of.texts("hierarchyLevelName", "mdb:name")))


def _listed(tag: str, value: str) -> Element:
    """A value of a code list."""
    code = _new(tag, value)
    code.set("codeList", f"{_CODE_LISTS}#{tag.partition(':')[2]}")
    code.set("codeListValue", value)
    return code


def _locale(tag: str, of: _Members) -> Element:
    language, encoding = of.members("lan", "language"), of.texts("characterSet", "lan:characterEncoding")
    return _new(tag, _new("lan:PT_Locale", *language, *encoding))


def _date(of: _Members) -> Element:
    kind = _listed("cit:CI_DateTypeCode", "revision")
    return _new("cit:CI_Date", *of.texts("dateStamp", "cit:date"), _new("cit:dateType", kind))


def _citation(title: str, edition: str) -> Element:
    texts = (("cit:title", title), ("cit:edition", edition))
    return _new("cit:CI_Citation", *(_new(tag, _new("gco:CharacterString", value)) for tag, value in texts))


_SHAPES: Final[Mapping[str, Callable[[Element], Element]]] = {
    "CI_ResponsibleParty": _responsibility,
    "DQ_CompletenessOmission": _report,
    "DQ_DataQuality": _quality,
    "DQ_DomainConsistency": _report,
    "DQ_QuantitativeAttributeAccuracy": _report,
    "LI_Lineage": _lineage,
    "LI_ProcessStep": _step,
    "LI_Source": _source,
    "MD_CoverageDescription": _coverage,
    "MD_DataIdentification": _identification,
    "MD_Format": _format,
}


def _new(tag: str, *content: Element | str | None) -> Element:
    """Element ``prefix:name`` with text or children; None among the children is left out."""
    prefix, _, name = tag.partition(":")
    element = etree.Element(f"{{{NAMESPACES[prefix]}}}{name}", nsmap=dict(NAMESPACES))
    for part in content:
        if isinstance(part, str):
            element.text = part
        elif part is not None:
            element.append(part)
    return element


def _old(name: str) -> str:
    return f"{{{OLD['gmd']}}}{name}"


def _tag(name: str) -> str:
    name = _RENAMED.get(name, name)
    return f"{_CLASSES.get(name) or _FAMILIES[name[:3]]}:{name}"


def _attribute(name: str) -> str:
    return name.replace(f"{{{OLD['gco']}}}", f"{{{NAMESPACES['gco']}}}")

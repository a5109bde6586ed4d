"""Parts that ISO 19139 records of products and of services have in common."""

from collections.abc import Iterator
from datetime import date
from typing import Final

from cup4soil.licences import licence_url
from cup4soil.settings import Settings
from stac_catalog.iso_elements import Node, absent, anchor, code, common, date_of, node, text

_NO_ACCESS_LIMITS: Final = "http://inspire.ec.europa.eu/metadata-codelist/LimitationsOnPublicAccess/noLimitations"
_GEMET: Final = (
    "GEMET - INSPIRE themes, version 1.0",
    "http://www.eionet.europa.eu/gemet/inspire_themes",
    date(2008, 6, 1),
)
_SOIL_THEME: Final = "http://inspire.ec.europa.eu/theme/so"


@common
def soil_theme() -> Node:
    """The keyword of INSPIRE's theme Soil, with its thesaurus."""
    title, address, published = _GEMET
    return keyword_group([anchor("gmd:keyword", _SOIL_THEME, "Soil")], anchor("gmd:title", address, title), published)


def responsible(tag: str, settings: Settings, role: str) -> Node:
    """The organisation, with where questions go."""
    return _party(tag, settings.organisation, settings.contact_email, settings.contact_url, role)


@common
def _party(tag: str, organisation: str, email: str, page: str, role: str) -> Node:
    address = node(
        "gmd:CI_Address",
        text("gmd:electronicMailAddress", email) if email else absent("gmd:electronicMailAddress", "missing"),
    )
    contact = node(
        "gmd:CI_Contact",
        node("gmd:address", address),
        node("gmd:onlineResource", online(page, organisation, "information")) if page else None,
    )
    party = node(
        "gmd:CI_ResponsibleParty",
        text("gmd:organisationName", organisation),
        node("gmd:contactInfo", contact),
        code("gmd:role", "CI_RoleCode", role),
    )
    return node(tag, party)


def keyword_group(words: list[Node], thesaurus: Node | None, published: date | int | None) -> Node:
    """Keywords of one thesaurus, or of none."""
    name = None
    if thesaurus is not None:
        name = node("gmd:thesaurusName", node("gmd:CI_Citation", thesaurus, date_of("publication", published)))
    keywords = node("gmd:MD_Keywords", *words, code("gmd:type", "MD_KeywordTypeCode", "theme"), name)
    return node("gmd:descriptiveKeywords", keywords)


def constraint(tag: str, *content: Node) -> Node:
    """One group of limits of use."""
    return node("gmd:resourceConstraints", node(tag, *content))


def online(address: str, name: str, function: str) -> Node:
    """An address, and whether it is for download, information or search."""
    return node(
        "gmd:CI_OnlineResource",
        node("gmd:linkage", node("gmd:URL", address)),
        text("gmd:protocol", "WWW:LINK-1.0-http--link"),
        text("gmd:name", name),
        code("gmd:function", "CI_OnLineFunctionCode", function),
    )


@common
def data_format(name: str) -> Node:
    """A format in which the data come."""
    return node(
        "gmd:distributionFormat",
        node("gmd:MD_Format", text("gmd:name", name), absent("gmd:version", "inapplicable")),
    )


def licence_constraints(licence: str) -> Iterator[Node]:
    """Limits of access, and the licence as condition of use."""
    yield _access(licence)
    yield _terms(licence)


@common
def _access(licence: str) -> Node:
    open_to_all = anchor("gmd:otherConstraints", _NO_ACCESS_LIMITS, "no limitations to public access")
    return constraint(
        "gmd:MD_LegalConstraints",
        code("gmd:accessConstraints", "MD_RestrictionCode", "otherRestrictions"),
        # Only a public licence tells that access is open.
        absent("gmd:otherConstraints", "unknown") if licence_url(licence) is None else open_to_all,
    )


@common
def _terms(licence: str) -> Node:
    url = licence_url(licence)
    return constraint(
        "gmd:MD_LegalConstraints",
        code("gmd:useConstraints", "MD_RestrictionCode", "license"),
        code("gmd:useConstraints", "MD_RestrictionCode", "otherRestrictions"),
        text("gmd:otherConstraints", licence) if url is None else anchor("gmd:otherConstraints", url, licence),
    )

"""The forms in which a product's metadata are given out, by name: for the service and for the command line."""

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from cup4soil.errors import NotFound
from cup4soil.products import ProductRecord
from cup4soil.settings import Settings
from stac_catalog.citation import bibtex, citation_text, csl_json
from stac_catalog.datacite import datacite
from stac_catalog.dcat import dcat
from stac_catalog.iso import iso_record
from stac_catalog.iso3 import NAMESPACES as ISO3
from stac_catalog.iso3 import iso3_record
from stac_catalog.places import Places
from stac_catalog.rdf_xml import rdf_xml
from stac_catalog.rocrate import ro_crate
from stac_catalog.schema_org import schema_org
from stac_catalog.search_values import shown
from stac_catalog.versions import ALONE, Versions

_LONGEST_ACCEPT: Final = 2000
_WEIGHT: Final = re.compile(r"[01](\.\d{0,3})?", re.ASCII)


@dataclass(frozen=True, slots=True)
class Described:
    """A product, who stands for it, where it is found, and its other versions."""

    record: ProductRecord
    settings: Settings
    places: Places
    versions: Versions = ALONE


@dataclass(frozen=True, slots=True)
class Form:
    """A form of metadata: what it is called, its media type, and what writes it."""

    title: str
    media_type: str
    write: Callable[[Described], bytes]


def metadata(form: str, described: Described) -> bytes:
    """A product's metadata in the form of this name.

    Raises:
        NotFound: when there is no such form.
        InvalidInput: when a text holds characters that XML cannot, in a form that is XML.
    """
    if form not in FORMS:
        raise NotFound(f"there is no form of metadata {shown(form)}", f"use one of {', '.join(FORMS)}")
    return FORMS[form].write(described)


def preferred_form(accept: str) -> str | None:
    """The form whose media type a header ``Accept`` prefers; None for HTML, for anything, and for what there is not.

    Of the forms that are JSON-LD it is schema.org, which is what FAIR checkers look for; of several others of one media
    type, the first.
    """
    known: dict[str, str | None] = {}
    for name, form in FORMS.items():
        known.setdefault(form.media_type.partition(";")[0], name)
    known |= {"application/ld+json": "schema.org", "text/html": None, "application/xhtml+xml": None, "*/*": None}
    asked = [_weighed(each) for each in accept[:_LONGEST_ACCEPT].split(",")]
    for weight, media_type in sorted(asked, key=lambda each: -each[0]):
        if weight > 0 and media_type in known:
            return known[media_type]
    return None


def _weighed(text: str) -> tuple[float, str]:
    media_type, *parameters = (part.strip().lower() for part in text.split(";"))
    weight = next((part[2:] for part in parameters if part.startswith("q=")), "1")
    return (float(weight) if _WEIGHT.fullmatch(weight) else 0.0), media_type


def _iso(d: Described) -> bytes:
    return iso_record(d.record, d.settings, d.places)


def _iso3(d: Described) -> bytes:
    return iso3_record(d.record, d.settings, d.places)


def _dcat(d: Described) -> bytes:
    return _json(dcat(d.record, d.settings, d.places, d.versions))


def _dcat_xml(d: Described) -> bytes:
    return rdf_xml(dcat(d.record, d.settings, d.places, d.versions))


def _datacite(d: Described) -> bytes:
    return _json(datacite(d.record, d.settings, d.places, d.versions))


def _schema_org(d: Described) -> bytes:
    return _json(schema_org(d.record, d.settings, d.places, d.versions))


def _ro_crate(d: Described) -> bytes:
    return _json(ro_crate(d.record, d.settings, d.places))


def _citation(d: Described) -> bytes:
    return f"{citation_text(d.record, d.settings, d.places)}\n".encode()


def _csl(d: Described) -> bytes:
    return _json([csl_json(d.record, d.settings, d.places)])


def _bibtex(d: Described) -> bytes:
    return bibtex(d.record, d.settings, d.places).encode()


def _json(document: Mapping[str, Any] | list[Any]) -> bytes:
    return (json.dumps(document, indent=1, ensure_ascii=False, allow_nan=False) + "\n").encode()


FORMS: Final[Mapping[str, Form]] = {
    "iso": Form("ISO 19139", "application/xml", _iso),
    "iso19115-3": Form("ISO 19115-3", f"application/xml; profile={ISO3['mdb']}", _iso3),
    "dcat": Form("DCAT-AP, JSON-LD", "application/ld+json", _dcat),
    "dcat-xml": Form("DCAT-AP, RDF/XML", "application/rdf+xml", _dcat_xml),
    "datacite": Form("DataCite", "application/vnd.datacite.datacite+json", _datacite),
    "schema.org": Form("schema.org", "application/ld+json", _schema_org),
    "ro-crate": Form("RO-Crate", "application/ld+json", _ro_crate),
    "citation": Form("Citation", "text/plain; charset=utf-8", _citation),
    "csl": Form("CSL-JSON", "application/vnd.citationstyles.csl+json", _csl),
    "bibtex": Form("BibTeX", "application/x-bibtex", _bibtex),
}

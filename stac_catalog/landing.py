"""The page of a product, where its DOI and its citation lead: what it is, how good, and where its files are."""

from functools import cache

import jinja2

from cup4soil.licences import licence_url
from stac_catalog.citation import citation_text
from stac_catalog.lineage import simulation_notice, skill_notice, statement
from stac_catalog.metadata import FORMS, Described
from stac_catalog.schema_org import schema_org


def landing_page(described: Described) -> str:
    """The page as HTML, complete in itself, with the schema.org document in it."""
    record, places = described.record, described.places
    west, south, east, north = record.extent.bbox
    files = [(places.file(record, layer.file), layer.title) for layer in record.layers]
    files += [(places.file(record, document.file), document.title) for document in record.documents]
    return _template().render(
        record=record,
        versions=described.versions,
        page=places.page(record),
        stac=places.stac(record),
        files=files,
        forms=FORMS,
        box=f"{west:.4f} to {east:.4f} degrees east, {south:.4f} to {north:.4f} degrees north",
        notice=" ".join(each for each in (simulation_notice(record), skill_notice(record)) if each),
        lineage=statement(record),
        licence_url=licence_url(record.licence),
        citation=citation_text(record, described.settings, places),
        schema_org=schema_org(record, described.settings, places, described.versions),
    )


@cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("stac_catalog"), autoescape=True, undefined=jinja2.StrictUndefined
    )
    return environment.get_template("product.html.j2")

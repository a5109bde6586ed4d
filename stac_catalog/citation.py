"""How a product is cited: in words, for programs that manage references, and for BibTeX."""

import re
from typing import Any, Final

from cup4soil.products import ProductRecord
from cup4soil.settings import Settings
from stac_catalog.places import Places

# What BibTeX reads as markup.
_SPECIAL: Final = re.compile(r"[\\{}&%$#_~^]")
_ESCAPES: Final = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}


def citation_text(record: ProductRecord, settings: Settings, places: Places) -> str:
    """One sentence in the form that DataCite recommends: creator (year): title, version, publisher, type, address."""
    kind = "Model" if record.kind == "model" else "Dataset"
    version = f"Version {record.algorithm.version}"
    parts = [f"{settings.organisation} ({record.created:%Y}): {record.title}", version, settings.organisation]
    return ". ".join([*parts, f"[{kind}]", places.page(record)])


def csl_json(record: ProductRecord, settings: Settings, places: Places) -> dict[str, Any]:
    """The citation as an item of the Citation Style Language."""
    made = record.created
    document: dict[str, Any] = {
        "id": record.id,
        "type": "dataset",
        "title": record.title,
        "author": [{"literal": settings.organisation}],
        "publisher": settings.organisation,
        "issued": {"date-parts": [[made.year, made.month, made.day]]},
        "version": record.algorithm.version,
        "URL": places.page(record),
        "abstract": record.abstract,
        "language": "en",
    }
    return document | ({"keyword": ", ".join(record.keywords)} if record.keywords else {})


def bibtex(record: ProductRecord, settings: Settings, places: Places) -> str:
    """The citation as an entry of BibTeX."""
    fields = {
        # Braces keep an organisation from being taken for a person.
        "author": f"{{{_plain(settings.organisation)}}}",
        "title": f"{{{_plain(record.title)}}}",
        "year": f"{record.created:%Y}",
        "publisher": _plain(settings.organisation),
        "version": _plain(record.algorithm.version),
        "note": f"Licence: {_plain(record.licence)}",
        "howpublished": f"\\url{{{places.page(record)}}}",
    }
    lines = "".join(f"  {name} = {{{value}}},\n" for name, value in fields.items())
    return f"@misc{{{record.id},\n{lines}}}\n"


def _plain(text: str) -> str:
    """The text without a meaning to BibTeX."""
    return _SPECIAL.sub(lambda match: _ESCAPES.get(match[0], f"\\{match[0]}"), " ".join(text.split()))

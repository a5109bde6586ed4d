"""What a product was made from, in words and as a document."""

import json
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import urlsplit

from cup4soil import __version__
from cup4soil.products import NO_SKILL_NOTE, ProductRecord, Source

LINEAGE_FILE = "lineage.json"

_NOUNS = {
    "scene": ("scene", "scenes"),
    "samples": ("table of soil samples", "tables of soil samples"),
    "covariate": ("covariate raster", "covariate rasters"),
    "model": ("model", "models"),
    "threshold": ("threshold raster", "threshold rasters"),
    "land-cover": ("land-cover raster", "land-cover rasters"),
    "composite": ("composite", "composites"),
    "index": ("set of index extremes", "sets of index extremes"),
}


def statement(record: ProductRecord) -> str:
    """Lineage in one or two sentences: method, version, sources; says when they are simulated."""
    algorithm = record.algorithm
    text = f"Made with {algorithm.title} ({algorithm.name} {algorithm.version})"
    if record.sources:
        text += f" from {_enumeration(_summary(role, record) for role in _roles(record))}"
    return f"{text}. {simulation_notice(record)}".rstrip()


def simulation_notice(record: ProductRecord) -> str:
    """A sentence that says so when the product is simulated, else nothing."""
    return "Made from simulated input: the product does not describe a real place." if record.simulated else ""


def skill_notice(record: ProductRecord) -> str:
    """A sentence that says so when validation showed no skill, else nothing."""
    return NO_SKILL_NOTE if record.verdict == "no-skill" else ""


def abstract(record: ProductRecord) -> str:
    """The product's abstract, after notices where it is simulated or has shown no skill."""
    return " ".join([*(each for each in notices(record) if each not in record.abstract), record.abstract])


def notices(record: ProductRecord) -> list[str]:
    """What every description of the product says first."""
    return [notice for notice in (simulation_notice(record), skill_notice(record)) if notice]


def of_role(record: ProductRecord, role: str) -> tuple[Source, ...]:
    """The sources of one role, in their order."""
    return tuple(source for source in record.sources if source.role == role)


def scene_period(scenes: Iterable[Source]) -> tuple[datetime, datetime] | None:
    """First and last time that the scenes state in their property ``datetime``; None when none does."""
    times = sorted(
        datetime.fromisoformat(str(s.properties["datetime"])) for s in scenes if s.properties.get("datetime")
    )
    return (times[0], times[-1]) if times else None


def scene_summary(scenes: tuple[Source, ...]) -> str:
    """Number of scenes and, where they state it, the days of the first and the last."""
    text = _count("scene", len(scenes))
    period = scene_period(scenes)
    return text if period is None else f"{text} of {period[0]:%Y-%m-%d} to {period[1]:%Y-%m-%d}"


def published(source: Source, href: str | None) -> Source:
    """``source`` with the address ``href``, which may be shown to anyone: no local path."""
    return source.model_copy(update={"href": href})


def lineage_document(record: ProductRecord) -> bytes:
    """The lineage as JSON: algorithm with parameters, software and every source.

    A source that is a local file is given by the file's name, not by its path.
    """
    document = {
        "product": record.id,
        "statement": statement(record),
        "algorithm": record.algorithm.model_dump(mode="json"),
        "software": {"cup4soil": __version__},
        "simulated": record.simulated,
        "sources": [_entry(source) for source in record.sources],
    }
    return (json.dumps(document, indent=1, ensure_ascii=False) + "\n").encode()


def is_remote(href: str) -> bool:
    """True for an address of the web."""
    return urlsplit(href).scheme in ("http", "https")


def local_path(href: str) -> Path:
    """The path behind an address that is not remote."""
    parts = urlsplit(href)
    return Path(parts.path if parts.scheme == "file" else href)


def _entry(source: Source) -> dict[str, Any]:
    entry = source.model_dump(mode="json", exclude_none=True)
    href = entry.get("href")
    if href is not None and not is_remote(href):
        del entry["href"]
        entry["file"] = PurePosixPath(local_path(href)).name
    return entry


def _roles(record: ProductRecord) -> list[str]:
    return list(dict.fromkeys(source.role for source in record.sources))


def _summary(role: str, record: ProductRecord) -> str:
    sources = of_role(record, role)
    if role == "scene":
        return scene_summary(sources)
    if len(sources) == 1:
        return f'{_NOUNS[role][0]} "{sources[0].title or sources[0].id}"'
    return _count(role, len(sources))


def _count(role: str, number: int) -> str:
    return f"{number} {_NOUNS[role][number != 1]}"


def _enumeration(parts: Iterable[str]) -> str:
    *head, last = list(parts)
    return f"{', '.join(head)} and {last}" if head else last

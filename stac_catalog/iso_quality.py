"""The part of an ISO record on quality: accuracy figures, conformance and lineage."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, date

from cup4soil.products import LEAST_MEC, MEC_LOWER_END, NO_SKILL_NOTE, Measure, ProductRecord, Source
from stac_catalog.iso_elements import (
    Node,
    absent,
    anchor,
    boolean,
    code_value,
    common,
    date_of,
    identifier,
    node,
    number,
    period,
    text,
    unit,
)
from stac_catalog.lineage import is_remote, of_role, scene_period, scene_summary, statement

_INSPIRE_RULES = (
    "Commission Regulation (EU) No 1089/2010 of 23 November 2010 implementing Directive 2007/2/EC of the European "
    "Parliament and of the Council as regards interoperability of spatial data sets and services"
)
_INSPIRE_RULES_ADDRESS = "http://data.europa.eu/eli/reg/2010/1089"
_INSPIRE_RULES_PUBLISHED = date(2010, 12, 8)
# Support of a figure that tells how many cells have a value, such as "1024 observed cells".
_CELLS = re.compile(r"\d+ (\w+ )?cells\b")
_ROLE_NAMES = {
    "samples": "Soil samples",
    "covariate": "Covariate",
    "model": "Model",
    "threshold": "Threshold of the bare-soil index",
    "land-cover": "Land cover",
    "composite": "Bare-soil composite",
    "index": "Extremes of the bare-soil index",
}


def data_quality(record: ProductRecord, scope: str) -> Node:
    """``gmd:dataQualityInfo``: one report for each measure, INSPIRE conformance, and the lineage."""
    reports = [_figure(measure, f"quality-unit-{i}") for i, measure in enumerate(record.quality, 1)]
    return node(
        "gmd:dataQualityInfo",
        node(
            "gmd:DQ_DataQuality",
            _scope(scope),
            *reports,
            _skill(record),
            conformance(),
            _lineage(record),
        ),
    )


@common
def _scope(scope: str) -> Node:
    level = node("gmd:level", code_value("MD_ScopeCode", scope))
    return node("gmd:scope", node("gmd:DQ_Scope", level, _levels(scope)))


def _levels(scope: str) -> Node | None:
    """Description that the standard wants for everything that is no dataset."""
    if scope == "dataset":
        return None
    description = node("gmd:MD_ScopeDescription", text("gmd:other", scope))
    return node("gmd:levelDescription", description)


def _figure(measure: Measure, key: str) -> Node:
    """A figure with its unit and support: of completeness where it counts cells, of accuracy else."""
    counts_cells = _CELLS.match(measure.support) is not None
    result = node(
        "gmd:DQ_QuantitativeResult",
        unit("gmd:valueUnit", measure.unit, key),
        node("gmd:value", node("gco:Record", number(measure.value))),
    )
    return node(
        "gmd:report",
        node(
            "gmd:DQ_CompletenessOmission" if counts_cells else "gmd:DQ_QuantitativeAttributeAccuracy",
            text("gmd:nameOfMeasure", measure.name),
            text("gmd:measureDescription", measure.description),
            text("gmd:evaluationMethodDescription", measure.support),
            node("gmd:result", result),
        ),
    )


def _skill(record: ProductRecord) -> Node | None:
    """Whether the product passed the rule on skill; None where nothing has judged it."""
    if record.verdict is None:
        return None
    passed = record.verdict == "skill"
    rule = f"Skill is shown where the figure '{MEC_LOWER_END}' in spatial validation is at least {LEAST_MEC:g}"
    citation = node("gmd:CI_Citation", text("gmd:title", rule), date_of("publication", None))
    result = node(
        "gmd:DQ_ConformanceResult",
        node("gmd:specification", citation),
        text("gmd:explanation", "Skill was shown in spatial validation." if passed else NO_SKILL_NOTE),
        boolean("gmd:pass", passed),
    )
    return node(
        "gmd:report",
        node(
            "gmd:DQ_QuantitativeAttributeAccuracy",
            text("gmd:nameOfMeasure", "Skill in spatial validation"),
            node("gmd:result", result),
        ),
    )


@common
def conformance() -> Node:
    """Conformance to INSPIRE's rules on interoperability, which nobody has evaluated."""
    citation = node(
        "gmd:CI_Citation",
        anchor("gmd:title", _INSPIRE_RULES_ADDRESS, _INSPIRE_RULES),
        date_of("publication", _INSPIRE_RULES_PUBLISHED),
    )
    result = node(
        "gmd:DQ_ConformanceResult",
        node("gmd:specification", citation),
        text("gmd:explanation", "Conformance has not been evaluated."),
        absent("gmd:pass", "unknown"),
    )
    return node("gmd:report", node("gmd:DQ_DomainConsistency", node("gmd:result", result)))


def _lineage(record: ProductRecord) -> Node:
    step = node(
        "gmd:LI_ProcessStep",
        text("gmd:description", _step(record)),
        node("gmd:dateTime", node("gco:DateTime", f"{record.created.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}")),
    )
    lineage = node(
        "gmd:LI_Lineage",
        text("gmd:statement", statement(record)),
        node("gmd:processStep", step),
        *(node("gmd:source", source) for source in _sources(record)),
    )
    return node("gmd:lineage", lineage)


def _step(record: ProductRecord) -> str:
    algorithm = record.algorithm
    parameters = {k: v for k, v in algorithm.model_dump(mode="json")["parameters"].items() if v is not None}
    parts = [f"{algorithm.title}, {algorithm.name} {algorithm.version}. {algorithm.description}"]
    if parameters:
        parts.append("Parameters: " + "; ".join(f"{name} = {_said(value)}" for name, value in parameters.items()) + ".")
    if algorithm.references:
        parts.append("References: " + " ".join(algorithm.references))
    return " ".join(parts)


def _said(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _sources(record: ProductRecord) -> Iterator[Node]:
    scenes = of_role(record, "scene")
    if scenes:
        yield _scenes(scenes)
    for source in record.sources:
        if source.role != "scene":
            yield _source(source)


def _scenes(scenes: tuple[Source, ...]) -> Node:
    """All scenes as one source; the lineage document of the product names each."""
    covered = scene_period(scenes)
    extent = None
    if covered is not None:
        temporal = node("gmd:EX_TemporalExtent", period("gmd:extent", *covered, key="scenes-period"))
        extent = node("gmd:sourceExtent", node("gmd:EX_Extent", node("gmd:temporalElement", temporal)))
    return node("gmd:LI_Source", text("gmd:description", f"Satellite images: {scene_summary(scenes)}."), extent)


def _source(source: Source) -> Node:
    facts = {
        "version": source.version,
        "checksum": source.checksum,
        "licence": source.licence,
        "attribution": source.attribution,
    }
    stated = "; ".join(f"{name} {value}" for name, value in facts.items() if value)
    title = source.title or source.id
    description = f"{_ROLE_NAMES[source.role]}: {title}" + (f" ({stated})" if stated else "")
    # A path within the catalog means nothing in the catalogue of a harvester; the id is that of the source's record.
    name = source.href if source.href is not None and is_remote(source.href) else source.id
    citation = node("gmd:CI_Citation", text("gmd:title", title), date_of("creation", None), identifier(name))
    return node("gmd:LI_Source", text("gmd:description", description), node("gmd:sourceCitation", citation))

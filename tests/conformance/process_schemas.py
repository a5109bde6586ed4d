"""What the standard says of the members of its documents, as JSON Schemas of our own wording."""

from typing import Any

import jsonschema

TEXT: dict[str, Any] = {"type": "string"}
TIME: dict[str, Any] = {"type": "string", "pattern": r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z$"}
LINK: dict[str, Any] = {
    "type": "object",
    "required": ["href"],
    "properties": dict.fromkeys(("href", "rel", "type", "hreflang", "title"), TEXT),
}
LINKS: dict[str, Any] = {"type": "array", "items": LINK}
CONFORMANCE: dict[str, Any] = {
    "type": "object",
    "required": ["conformsTo"],
    "properties": {"conformsTo": {"type": "array", "items": TEXT}},
}
LANDING: dict[str, Any] = {"type": "object", "required": ["links"], "properties": {"links": LINKS, "title": TEXT}}
_DESCRIPTION: dict[str, Any] = {"title": TEXT, "description": TEXT, "keywords": {"type": "array", "items": TEXT}}
SUMMARY: dict[str, Any] = {
    "type": "object",
    "required": ["id", "version"],
    "properties": {
        **_DESCRIPTION,
        "id": TEXT,
        "version": TEXT,
        "jobControlOptions": {"type": "array", "items": {"enum": ["sync-execute", "async-execute", "dismiss"]}},
        "outputTransmission": {"type": "array", "items": {"enum": ["value", "reference"]}},
        "links": LINKS,
    },
}
PROCESS_LIST: dict[str, Any] = {
    "type": "object",
    "required": ["processes", "links"],
    "properties": {"processes": {"type": "array", "items": SUMMARY}, "links": LINKS},
}
_OCCURS: dict[str, Any] = {
    "minOccurs": {"type": "integer", "minimum": 0},
    "maxOccurs": {"oneOf": [{"type": "integer", "minimum": 0}, {"const": "unbounded"}]},
}
INPUT: dict[str, Any] = {
    "type": "object",
    "required": ["schema"],
    "properties": {**_DESCRIPTION, **_OCCURS, "schema": {"type": "object"}},
}
OUTPUT: dict[str, Any] = {
    "type": "object",
    "required": ["schema"],
    "properties": {**_DESCRIPTION, "schema": {"type": "object"}},
}
PROCESS: dict[str, Any] = {
    "allOf": [
        SUMMARY,
        {
            "properties": {
                "inputs": {"type": "object", "additionalProperties": INPUT},
                "outputs": {"type": "object", "additionalProperties": OUTPUT},
            }
        },
    ]
}
STATUS: dict[str, Any] = {
    "type": "object",
    "required": ["jobID", "status", "type"],
    "properties": {
        "processID": TEXT,
        "type": {"const": "process"},
        "jobID": TEXT,
        "status": {"enum": ["accepted", "running", "successful", "failed", "dismissed"]},
        "message": TEXT,
        **dict.fromkeys(("created", "started", "finished", "updated"), TIME),
        "progress": {"type": "integer", "minimum": 0, "maximum": 100},
        "links": LINKS,
    },
}
JOB_LIST: dict[str, Any] = {
    "type": "object",
    "required": ["jobs", "links"],
    "properties": {"jobs": {"type": "array", "items": STATUS}, "links": LINKS},
}
EXCEPTION: dict[str, Any] = {
    "type": "object",
    "required": ["type"],
    "properties": {"type": TEXT, "title": TEXT, "status": {"type": "integer"}, "detail": TEXT, "instance": TEXT},
}


def fits(document: Any, schema: dict[str, Any]) -> None:
    """The document is one of the schema."""
    jsonschema.validate(document, schema, jsonschema.Draft202012Validator)

"""The parts of the OpenAPI document about processes and jobs."""

from typing import Final

from processors.jobs.job import STATES
from processors.openapi_parts import HTML, JSON, Json, errors, form, query, ref
from processors.processes import process, process_ids

MOST_JOBS: Final = 1000
# What pygeoapi lists on one page.
MOST_PROCESSES: Final = 1000
_TEXT: Final[Json] = {"type": "string"}
_TIME: Final[Json] = {"type": "string", "format": "date-time"}
_BINARY: Final[Json] = {"type": "string", "format": "binary"}
_SECONDS: Final[Json] = {"type": "integer", "minimum": 0, "maximum": 999_999_999}
_CONTROL: Final = ("sync-execute", "async-execute", "dismiss")
_TRANSMISSION: Final = ("value", "reference")
# A request may wait for a place, need a key, or meet a store out of service.
_REFUSED: Final = ("400", "401", "403", "404", "413", "429", "503")


def process_paths() -> Json:
    """The paths; parameters and responses of :mod:`processors.openapi` are referred to."""
    one, job = ref("parameters", "processId"), ref("parameters", "jobId")
    return {
        "/processes": {"get": _get("processes", "Processes", "processes", "processList", _limit(20, MOST_PROCESSES))},
        "/processes/{processId}": {"get": _get("process", "A process", "processes", "process", one, missing=True)},
        "/processes/{processId}/execution": {"post": _execution()},
        "/jobs": {"get": _get("jobs", "Jobs of the client, the newest first", "jobs", "jobList", *_job_filters())},
        "/jobs/{jobId}": {
            "get": _get("job", "State of a job", "jobs", "statusInfo", job, missing=True),
            "delete": _dismiss(),
        },
        "/jobs/{jobId}/results": {"get": _results()},
    }


def process_schemas() -> Json:
    """Schemas that the paths refer to."""
    return {
        "link": _object(("href",), href=_TEXT, rel=_TEXT, type=_TEXT, title=_TEXT, hreflang=_TEXT),
        "processSummary": _object(("id", "version"), **_SUMMARY),
        "process": _object(("id", "version", "inputs", "outputs"), **_SUMMARY, inputs=_DESCRIBED, outputs=_DESCRIBED),
        "processList": _object(("processes", "links"), processes=_list(ref("schemas", "processSummary")), links=_LINKS),
        "execute": _execute(),
        **{f"{id_}-inputs": _inputs(id_) for id_ in process_ids()},
        "results": {"type": "object", "additionalProperties": {}},
        "statusInfo": _status_info(),
        "jobList": _object(
            ("jobs", "links"), jobs=_list(ref("schemas", "statusInfo")), links=_LINKS, numberMatched={"type": "integer"}
        ),
    }


def _object(required: tuple[str, ...], /, **properties: Json) -> Json:
    schema: Json = {"type": "object", "properties": properties}
    return schema | {"required": list(required)} if required else schema


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


def _one_of(values: tuple[str, ...]) -> Json:
    return {"type": "string", "enum": list(values)}


_LINKS: Final[Json] = _list(ref("schemas", "link"))
_DESCRIBED: Final[Json] = {
    "type": "object",
    "additionalProperties": _object(("schema",), title=_TEXT, description=_TEXT, schema={"type": "object"}),
}
_SUMMARY: Final[dict[str, Json]] = {
    "id": _TEXT,
    "version": _TEXT,
    "title": _TEXT,
    "description": _TEXT,
    "keywords": _list(_TEXT),
    "jobControlOptions": _list(_one_of(_CONTROL)),
    "outputTransmission": _list(_one_of(_TRANSMISSION)),
    "links": _LINKS,
}


def _get(id_: str, text: str, tag: str, schema: str, *parameters: Json, missing: bool = False) -> Json:
    content = {JSON: {"schema": ref("schemas", schema)}, HTML: {"schema": _TEXT}}
    return {
        "operationId": id_,
        "summary": text,
        "tags": [tag],
        "parameters": [*parameters, form("json", "html")],
        "responses": {
            "200": {"description": f"{text}.", "content": content},
            **errors("400", *(("404",) if missing else ()), "503", page=True),
        },
    }


def _execution() -> Json:
    process_id, prefer = ref("parameters", "processId"), ref("parameters", "prefer")
    monitor = {"description": "The job that it was (monitor), and outputs by reference (item).", "schema": _TEXT}
    made = {
        "Location": {"description": "Address of the job.", "schema": _TEXT},
        "Preference-Applied": {"description": "respond-async", "schema": _TEXT},
    }
    return {
        "operationId": "execute",
        "summary": "Run a process",
        "tags": ["processes"],
        "parameters": [process_id, prefer],
        # Where the operator wants a key.
        "security": [{}, {"key": []}],
        "requestBody": {"required": True, "content": {JSON: {"schema": ref("schemas", "execute")}}},
        "responses": {
            "200": {"description": "The results.", "headers": {"Link": monitor}, "content": _outputs()},
            "201": {
                "description": "A job was made.",
                "headers": made,
                "content": {JSON: {"schema": ref("schemas", "statusInfo")}},
            },
            "204": {
                "description": "The results are at the addresses in the header Link.",
                "headers": {"Link": monitor},
            },
            **errors(*_REFUSED),
        },
    }


def _outputs() -> Json:
    """Forms of results: a document, several parts, or one output as it is."""
    media = {
        output["schema"]["contentMediaType"]
        for id_ in process_ids()
        for output in process(id_).description["outputs"].values()
    }
    raw = {name: {"schema": _BINARY} for name in sorted(media - {JSON})}
    return {JSON: {"schema": ref("schemas", "results")}, "multipart/related": {"schema": _BINARY}, **raw}


def _results() -> Json:
    sunset = {"Sunset": {"description": "When they are removed (RFC 8594).", "schema": _TEXT}}
    return {
        "operationId": "results",
        "summary": "Results of a job",
        "tags": ["jobs"],
        "parameters": [ref("parameters", "jobId"), form("json", "html")],
        "responses": {
            "200": {
                "description": "The results, in the form that the request to execute asked for.",
                "headers": sunset,
                "content": _outputs() | {HTML: {"schema": _TEXT}},
            },
            "204": {"description": "They are at the addresses in the header Link.", "headers": sunset},
            # Of a failed job the reason, with its status.
            **errors("400", "404", "410", "413", "500", "503"),
        },
    }


def _dismiss() -> Json:
    return {
        "operationId": "dismiss",
        "summary": "Cancel a job, or drop its results",
        "tags": ["jobs"],
        "parameters": [ref("parameters", "jobId")],
        "responses": {
            "200": {
                "description": "The job is dismissed.",
                "content": {JSON: {"schema": ref("schemas", "statusInfo")}},
            },
            **errors("404", "503"),
        },
    }


def _limit(default: int, most: int) -> Json:
    schema = {"type": "integer", "minimum": 1, "maximum": most, "default": default}
    return query("limit", "Most entries in one answer.", schema)


def _job_filters() -> tuple[Json, ...]:
    return (
        query("type", "Kinds of job.", _list(_one_of(("process",)))),
        query("processID", "Jobs of these processes.", _list(_TEXT)),
        query("status", "Jobs in these states.", _list(_one_of(STATES))),
        query("datetime", "Instant or interval in which a job was created.", _TEXT),
        query("minDuration", "Least duration (s) of a job that has begun.", _SECONDS),
        query("maxDuration", "Longest duration (s) of a job that has begun.", _SECONDS),
        _limit(10, MOST_JOBS),
        query("offset", "Jobs to skip.", _SECONDS | {"default": 0}),
    )


def _inputs(id_: str) -> Json:
    described = process(id_).description["inputs"]
    reference = ref("schemas", "link")
    values = {
        name: {"title": each["title"], "description": each["description"], "anyOf": [each["schema"], reference]}
        for name, each in described.items()
    }
    return {"type": "object", "properties": values, "additionalProperties": False}


def _execute() -> Json:
    inputs = [ref("schemas", f"{id_}-inputs") for id_ in process_ids()]
    output = _object((), format=_object((), mediaType=_TEXT), transmissionMode=_one_of(_TRANSMISSION))
    return {
        "type": "object",
        "properties": {
            "inputs": inputs[0] if len(inputs) == 1 else {"anyOf": inputs},
            "outputs": {"type": "object", "additionalProperties": output},
            "response": {
                "type": "string",
                "enum": ["raw", "document"],
                "description": "Without it a single output comes raw, several in a document.",
            },
            "subscriber": _object(("successUri",), successUri=_TEXT, inProgressUri=_TEXT, failedUri=_TEXT),
        },
        "additionalProperties": False,
    }


def _status_info() -> Json:
    return _object(
        ("jobID", "status", "type"),
        jobID=_TEXT,
        processID=_TEXT,
        type=_one_of(("process",)),
        status=_one_of(STATES),
        message=_TEXT,
        progress={"type": "integer", "minimum": 0, "maximum": 100},
        created=_TIME,
        started=_TIME,
        finished=_TIME,
        updated=_TIME,
        links=_LINKS,
    )

"""What the parts of the OpenAPI document are put together from."""

from typing import Any

type Json = dict[str, Any]

JSON = "application/json"
HTML = "text/html"


def ref(kind: str, name: str) -> Json:
    """A reference to a component: ``ref("schemas", "problem")``."""
    return {"$ref": f"#/components/{kind}/{name}"}


def errors(*statuses: str, page: bool = False) -> Json:
    """Answers that are problem details, or a ``page`` for those who asked for one."""
    return {status: ref("responses", "problemPage" if page else "problem") for status in statuses}


def form(*names: str) -> Json:
    """The parameter ``f``."""
    schema = {"type": "string", "enum": list(names)}
    return {"name": "f", "in": "query", "description": "Format of the answer.", "schema": schema}


def query(name: str, text: str, schema: Json) -> Json:
    """A parameter of the query; lists are separated by commas."""
    parameter: Json = {"name": name, "in": "query", "description": text, "schema": schema}
    return parameter | ({"style": "form", "explode": False} if schema.get("type") == "array" else {})

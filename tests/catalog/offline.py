"""Validators that others wrote fetch schemas from the web: here they get those at hand, and nothing else of the web."""

import io
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from email.message import Message
from typing import Any
from unittest.mock import patch
from urllib.parse import urlsplit
from urllib.response import addinfourl

import requests
from pystac.validation.local_validator import get_local_schema_cache

from stac_catalog.extensions import extension_schemas

_HERE = ("127.0.0.1", "localhost")


@contextmanager
def schemas_at_hand() -> Iterator[list[str]]:
    """Answer requests for schemas of STAC and of the extensions in use, let those to this machine pass, refuse others.

    Gives a list that names what was refused.
    """
    schemas = get_local_schema_cache() | extension_schemas()
    refused: list[str] = []
    opened, sent = urllib.request.OpenerDirector.open, requests.Session.send

    def content(url: str) -> bytes | None:
        schema = schemas.get(url.partition("#")[0])
        if schema is None:
            refused.append(url)
        return None if schema is None else json.dumps(schema).encode()

    def open_(self: Any, request: Any, *arguments: Any, **options: Any) -> Any:
        url = request if isinstance(request, str) else request.full_url
        if urlsplit(url).hostname in _HERE:
            return opened(self, request, *arguments, **options)
        body = content(url)
        if body is None:
            raise urllib.error.URLError(f"{url} is not on this machine")
        return addinfourl(io.BytesIO(body), Message(), url, 200)

    def send(self: Any, request: requests.PreparedRequest, **options: Any) -> requests.Response:
        url = str(request.url)
        if urlsplit(url).hostname in _HERE:
            return sent(self, request, **options)
        body = content(url)
        if body is None:
            raise requests.exceptions.ConnectionError(f"{url} is not on this machine")
        answer = requests.Response()
        answer.status_code, answer.url, answer.request = 200, url, request
        answer.raw = io.BytesIO(body)
        return answer

    with (
        patch.object(urllib.request.OpenerDirector, "open", open_),
        patch.object(requests.Session, "send", send),
    ):
        yield refused

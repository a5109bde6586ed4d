"""OAI-PMH 2.0 over the products of a store: what harvesters of libraries and of soil portals read.

Sets are the collections. Deleted records are kept for good, in the ledger (:mod:`stac_catalog.oai_ledger`).
"""

import json
import logging
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import parse_qsl, urlsplit

from fastapi import APIRouter
from lxml import etree
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response

from cup4soil.errors import Cup4soilError, LimitExceeded
from cup4soil.settings import Settings
from stac_catalog.api_addresses import Addresses
from stac_catalog.catalogs import COLLECTION_FILE
from stac_catalog.oai_formats import FORMATS
from stac_catalog.oai_ledger import Header, Ledger, Selection
from stac_catalog.oai_request import ARGUMENTS, ListRequest, OaiError, Place, read_arguments, read_list
from stac_catalog.places import Places
from stac_catalog.search_values import shown
from stac_catalog.store import Store

_LOG: Final = logging.getLogger(__name__)
_OAI: Final = "http://www.openarchives.org/OAI/2.0/"
_SCHEMA: Final = f"{_OAI} {_OAI}OAI-PMH.xsd"
_IDENTIFIER: Final = "http://www.openarchives.org/OAI/2.0/oai-identifier"
_XSI: Final = "{http://www.w3.org/2001/XMLSchema-instance}"
_NAMESPACE: Final = re.compile(r"[a-zA-Z][a-zA-Z0-9-]*(\.[a-zA-Z][a-zA-Z0-9-]*)+")
_EMAIL: Final = re.compile(r"\S+@(\S+\.)+\S+")
_NO_NAMESPACE: Final = "cup4soil.invalid"
_MOST_BYTES: Final = 16_384
_PAGE: Final = 100


def oai_router(
    store: Store,
    settings: Settings,
    *,
    public_url: str = "",
    trust_forwarded: bool = False,
    path: str = "/oai",
    page: int = _PAGE,
) -> APIRouter:
    """The OAI-PMH endpoint of ``store``, for GET and POST; lists come in parts of ``page`` records.

    Addresses begin as those of the STAC API do. Identifiers are ``oai:HOST:COLLECTION/ID`` with the host of
    ``public_url``, and of no other, since they must not depend on how the service was reached.
    """
    service = _Service(store, settings, Addresses(path, public_url, trust_forwarded=trust_forwarded), page)
    service.namespace = _namespace(public_url)
    router = APIRouter(tags=["OAI-PMH"])

    @router.get(path, summary="OAI-PMH 2.0", response_class=Response, openapi_extra={"parameters": _parameters()})
    async def by_get(request: Request) -> Response:
        return await run_in_threadpool(service.answer, request, request.query_params.multi_items())

    @router.post(path, summary="OAI-PMH 2.0", response_class=Response, openapi_extra={"requestBody": _form()})
    async def by_post(request: Request) -> Response:
        pairs = parse_qsl((await _body(request)).decode("utf-8", "replace"), keep_blank_values=True)
        return await run_in_threadpool(service.answer, request, pairs)

    return router


def _parameters() -> list[dict[str, Any]]:
    """The arguments as OpenAPI has them; all are checked by :mod:`stac_catalog.oai_request`."""
    return [{"name": name, "in": "query", "schema": schema} for name, schema in ARGUMENTS.items()]


def _form() -> dict[str, Any]:
    schema = {"type": "object", "properties": dict(ARGUMENTS)}
    return {"content": {"application/x-www-form-urlencoded": {"schema": schema}}}


async def _body(request: Request) -> bytes:
    content = b""
    async for piece in request.stream():
        content += piece
        if len(content) > _MOST_BYTES:
            raise LimitExceeded("the form is too long", f"send at most {_MOST_BYTES} bytes")
    return content


def _namespace(public_url: str) -> str:
    host = urlsplit(public_url).hostname or ""
    return host if _NAMESPACE.fullmatch(host) else _NO_NAMESPACE


class _Service:
    """Answers requests; its methods named after verbs yield what stands within the element of the verb."""

    def __init__(self, store: Store, settings: Settings, addresses: Addresses, page: int) -> None:
        self._store = store
        self._settings = settings
        self._addresses = addresses
        self._page = page
        self._ledger = Ledger(store)
        self.namespace = _NO_NAMESPACE

    def answer(self, request: Request, pairs: list[tuple[str, str]]) -> Response:
        """The document for a request. Raises StoreError where the store is damaged."""
        # Taken before the ledger is asked: what comes later is not missed by a harvester that goes on from here.
        now = datetime.now(UTC)
        root = _element("OAI-PMH")
        root.set(f"{_XSI}schemaLocation", _SCHEMA)
        _add(root, "responseDate", f"{now:%Y-%m-%dT%H:%M:%SZ}")
        asked = _add(root, "request", self._addresses.here(request))
        try:
            arguments = read_arguments(pairs)
            content = self._content(arguments, Places(self._addresses.files(request)), asked.text or "")
        except OaiError as error:
            if error.code not in ("badVerb", "badArgument"):
                _repeat(asked, pairs)
            _add(root, "error", str(error)).set("code", error.code)
        else:
            _repeat(asked, pairs)
            root.append(content)
        text = etree.tostring(root, xml_declaration=True, encoding="UTF-8")
        return Response(text, media_type="text/xml", headers={"Cache-Control": "no-cache"})

    def _content(self, arguments: Mapping[str, str], places: Places, here: str) -> etree._Element:
        verb = arguments["verb"]
        parts = {
            "Identify": lambda: self._identify(here),
            "ListMetadataFormats": lambda: self._formats(arguments),
            "ListSets": lambda: self._sets(arguments),
            "ListIdentifiers": lambda: self._list(arguments, None),
            "ListRecords": lambda: self._list(arguments, places),
            "GetRecord": lambda: self._get(arguments, places),
        }[verb]()
        element = _element(verb)
        element.extend(list(parts))
        return element

    def _identify(self, here: str) -> Iterator[etree._Element]:
        email = self._settings.contact_email
        facts = {
            "repositoryName": f"Soil products of {self._settings.organisation}",
            "baseURL": here,
            "protocolVersion": "2.0",
            "adminEmail": email if _EMAIL.fullmatch(email) else f"postmaster@{self.namespace}",
            "earliestDatestamp": _stamp(self._ledger.earliest()),
            "deletedRecord": "persistent",
            "granularity": "YYYY-MM-DDThh:mm:ssZ",
        }
        for name, value in facts.items():
            yield _element(name, value)
        description = _element("description")
        about = etree.SubElement(description, f"{{{_IDENTIFIER}}}oai-identifier", nsmap=_namespaces(_IDENTIFIER))
        about.set(f"{_XSI}schemaLocation", f"{_IDENTIFIER} {_IDENTIFIER}.xsd")
        for name, value in (
            ("scheme", "oai"),
            ("repositoryIdentifier", self.namespace),
            ("delimiter", ":"),
            ("sampleIdentifier", f"oai:{self.namespace}:soc-0-20cm/soc-0-20cm-0123456789ab"),
        ):
            etree.SubElement(about, f"{{{_IDENTIFIER}}}{name}").text = value
        yield description

    def _formats(self, arguments: Mapping[str, str]) -> Iterator[etree._Element]:
        if "identifier" in arguments:
            self._header(arguments["identifier"])
        for prefix, each in FORMATS.items():
            element = _element("metadataFormat")
            _add(element, "metadataPrefix", prefix)
            _add(element, "schema", each.schema)
            _add(element, "metadataNamespace", each.namespace)
            yield element

    def _sets(self, arguments: Mapping[str, str]) -> Iterator[etree._Element]:
        if "resumptionToken" in arguments:
            raise OaiError("badResumptionToken", "sets come in one part", "ask without a token")
        for name in self._ledger.collections():
            element = _element("set")
            _add(element, "setSpec", name)
            _add(element, "setName", self._title(name))
            yield element

    def _title(self, collection: str) -> str:
        """Title of a collection, its id where it has lost all its products."""
        path = self._store.catalog_path.parent / collection / COLLECTION_FILE
        if not path.is_file():
            return collection
        try:
            return str(json.loads(path.read_bytes()).get("title") or collection)
        except (OSError, ValueError, AttributeError):
            _LOG.warning("%s/%s cannot be read", collection, COLLECTION_FILE)
            return collection

    def _list(self, arguments: Mapping[str, str], places: Places | None) -> Iterator[etree._Element]:
        """Records, or with no ``places`` their headers, and the token that leads on."""
        asked = read_list(arguments)
        _check_prefix(asked.prefix)
        place = asked.place
        headers = self._ledger.page(asked.selection, None if place is None else (place.stamp, place.number), self._page)
        if not headers and place is None:
            raise OaiError("noRecordsMatch", "no record is like that", "ask for another time or set")
        for header in headers:
            element = self._header_element(header) if places is None else self._record(header, asked.prefix, places)
            if element is not None:
                yield element
        yield from self._onward(asked, headers)

    def _onward(self, asked: ListRequest, headers: list[Header]) -> Iterator[etree._Element]:
        """The resumption token, empty at the end of a list in parts; none where one part holds all."""
        before = 0 if asked.place is None else asked.place.count
        last = headers[-1] if headers else None
        more = last is not None and self._ledger.page(asked.selection, (last.stamp, last.number), 1)
        if not more and asked.place is None:
            return
        element = _element("resumptionToken")
        if more and last is not None:
            element.text = asked.token(Place(last.stamp, last.number, before + len(headers)))
        element.set("completeListSize", str(self._size(asked.selection, before + len(headers))))
        element.set("cursor", str(before))
        yield element

    def _size(self, selection: Selection, given: int) -> int:
        """Number of records as of now; never less than were given out already, should some have changed since."""
        return max(self._ledger.count(selection), given)

    def _get(self, arguments: Mapping[str, str], places: Places) -> Iterator[etree._Element]:
        _check_prefix(arguments["metadataPrefix"])
        header = self._header(arguments["identifier"])
        yield self._whole(header, arguments["metadataPrefix"], places)

    def _header(self, identifier: str) -> Header:
        start = f"oai:{self.namespace}:"
        collection, slash, name = identifier.removeprefix(start).partition("/")
        found = self._ledger.find(collection, name) if identifier.startswith(start) and slash else None
        if found is None:
            raise OaiError("idDoesNotExist", f"no record {shown(identifier)}", "see ListIdentifiers for what there is")
        return found

    def _record(self, header: Header, prefix: str, places: Places) -> etree._Element | None:
        """A record of a list; None for one that is damaged or has just gone, which must not spoil the others."""
        try:
            return self._whole(header, prefix, places)
        except Cup4soilError as error:
            _LOG.warning("%s/%s is left out of a harvest: %s", header.collection, header.id, error)
            return None

    def _whole(self, header: Header, prefix: str, places: Places) -> etree._Element:
        element = _element("record")
        element.append(self._header_element(header))
        if not header.deleted:
            record = self._store.record(header.collection, header.id)
            _add(element, "metadata").append(FORMATS[prefix].write(record, self._settings, places))
        return element

    def _header_element(self, header: Header) -> etree._Element:
        element = _element("header")
        if header.deleted:
            element.set("status", "deleted")
        _add(element, "identifier", f"oai:{self.namespace}:{header.collection}/{header.id}")
        _add(element, "datestamp", _stamp(header.stamp))
        _add(element, "setSpec", header.collection)
        return element


def _check_prefix(prefix: str) -> None:
    if prefix not in FORMATS:
        raise OaiError("cannotDisseminateFormat", f"no format {shown(prefix)}", f"use one of {', '.join(FORMATS)}")


def _repeat(asked: etree._Element, pairs: list[tuple[str, str]]) -> None:
    """Name the arguments, as the protocol wants it where they are sound."""
    for name, value in pairs:
        asked.set(name, value)


def _element(name: str, text: str | None = None) -> etree._Element:
    element = etree.Element(f"{{{_OAI}}}{name}", nsmap=_namespaces(_OAI))
    element.text = text
    return element


def _add(parent: etree._Element, name: str, text: str | None = None) -> etree._Element:
    element = _element(name, text)
    parent.append(element)
    return element


def _stamp(seconds: int) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%SZ}"


def _namespaces(default: str) -> Any:
    """Prefixes of an element; the default namespace goes by None, which the types of lxml do not know."""
    return {None: default, "xsi": _XSI[1:-1]}

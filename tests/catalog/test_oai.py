"""OAI-PMH: by the protocol's schema, by an independent harvester, under changes, and against nonsense."""

import json
import random
import re
import shutil
import string
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import anyio
import httpx
import pytest
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse
from lxml import etree

from cup4soil.errors import Cup4soilError, DamagedProduct, LimitExceeded, StoreError
from cup4soil.settings import Settings
from stac_catalog.iso_elements import NAMESPACES
from stac_catalog.oai import oai_router
from stac_catalog.oai_ledger import LEDGER_FILE, Ledger, Selection
from stac_catalog.store import Store
from stac_catalog.validation import load_iso_schema
from stac_catalog.visibility import HIDDEN
from tests.catalog import products
from tests.catalog.conftest import Filled
from tests.catalog.servers import serving

OAI = {"o": "http://www.openarchives.org/OAI/2.0/", "dc": "http://purl.org/dc/elements/1.1/", **NAMESPACES}
SCHEMA = Path(__file__).resolve().parents[2] / ".cache" / "metadata-schemas" / "OAI-PMH.xsd"
PUBLIC = "https://soil.survey.example/maps/"


def application(store: Store, settings: Settings, **options: object) -> FastAPI:
    app = FastAPI()
    app.include_router(oai_router(store, settings, **options))  # type: ignore[arg-type]

    @app.exception_handler(Cup4soilError)
    async def domain(request: Request, error: Cup4soilError) -> JSONResponse:
        kinds = {StoreError: 503, DamagedProduct: 503, LimitExceeded: 413}
        return JSONResponse({"detail": str(error)}, kinds.get(type(error), 400))

    return app


@dataclass
class Asking:
    """Asks an application in this process."""

    app: FastAPI
    statuses: list[int] = field(default_factory=list)

    def raw(self, method: str, **more: object) -> httpx.Response:
        async def ask() -> httpx.Response:
            transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
            async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
                return await client.request(method, "/oai", **more)  # type: ignore[arg-type]

        return anyio.run(ask)

    def __call__(self, verb: str, **arguments: str) -> etree._Element:
        names = {name.rstrip("_"): value for name, value in arguments.items()}
        answer = self.raw("GET", params={"verb": verb} | names)
        assert answer.status_code == 200, answer.text
        assert answer.headers["content-type"].startswith("text/xml")
        return etree.fromstring(answer.content)


@pytest.fixture
def store(filled: Filled, settings: Settings, tmp_path: Path) -> Store:
    shutil.copytree(filled.store.root, tmp_path / "store")
    return Store.open(tmp_path / "store", settings)


@pytest.fixture
def oai(store: Store, settings: Settings) -> Asking:
    return Asking(application(store, settings, public_url=PUBLIC, page=2))


@pytest.fixture(scope="module")
def schema() -> etree.XMLSchema:
    if not SCHEMA.is_file():
        pytest.skip("the schema of OAI-PMH is not unpacked")
    # What stands within metadata has schemas of its own, which are asked in tests of their own.
    text = SCHEMA.read_bytes().replace(b'processContents="strict"', b'processContents="skip"')
    return etree.XMLSchema(etree.fromstring(text))


def found(root: etree._Element, path: str) -> list[str]:
    nodes = root.xpath(path, namespaces=OAI)
    return ["".join(each.itertext()).strip() if isinstance(each, etree._Element) else str(each) for each in nodes]


def error_of(root: etree._Element) -> str:
    (code,) = found(root, "/o:OAI-PMH/o:error/@code")
    return code


def whole_list(oai: Asking, verb: str = "ListIdentifiers", **arguments: str) -> list[etree._Element]:
    """All parts of a list."""
    parts = [oai(verb, **({"metadataPrefix": "oai_dc"} | arguments))]
    while token := "".join(found(parts[-1], "//o:resumptionToken")):
        parts.append(oai(verb, resumptionToken=token))
    return parts


def identifiers(parts: list[etree._Element]) -> list[str]:
    return [each for part in parts for each in found(part, "//o:header/o:identifier")]


class TestAnswers:
    def test_identify(self, oai: Asking) -> None:
        root = oai("Identify")
        assert found(root, "//o:baseURL") == [f"{PUBLIC}oai"]
        assert found(root, "//o:adminEmail") == ["soil@survey.example"]
        assert found(root, "//o:deletedRecord") == ["persistent"]
        assert found(root, "//o:granularity") == ["YYYY-MM-DDThh:mm:ssZ"]
        assert found(root, "/o:OAI-PMH/o:request/@verb") == ["Identify"]

    def test_without_an_address_of_mail_a_standard_mailbox_is_named(self, store: Store) -> None:
        root = Asking(application(store, Settings()))("Identify")
        assert found(root, "//o:adminEmail") == ["postmaster@cup4soil.invalid"]

    def test_sets_are_the_collections(self, oai: Asking, store: Store) -> None:
        root = oai("ListSets")
        assert found(root, "//o:setSpec") == sorted(store.collections())
        assert "Bare-soil composites" in found(root, "//o:setName")

    def test_list_comes_in_parts_and_is_whole(self, oai: Asking, store: Store) -> None:
        parts = whole_list(oai)
        assert [len(found(part, "//o:header")) for part in parts] == [2, 2]
        everything = [f"oai:soil.survey.example:{c}/{i}" for c in store.collections() for i in store.items(c)]
        assert sorted(identifiers(parts)) == sorted(everything)
        assert found(parts[0], "//o:resumptionToken/@completeListSize") == ["4"]
        assert found(parts[1], "//o:resumptionToken/@cursor") == ["2"]

    def test_list_in_one_part_has_no_token(self, oai: Asking) -> None:
        assert not found(oai("ListIdentifiers", metadataPrefix="oai_dc", set="samples"), "//o:resumptionToken")

    def test_dublin_core(self, oai: Asking, store: Store, filled: Filled) -> None:
        record = filled.products["soil-map"].record
        root = oai("GetRecord", identifier=f"oai:soil.survey.example:soc-0-20cm/{record.id}", metadataPrefix="oai_dc")
        assert found(root, "//dc:title") == [record.title]
        assert found(root, "//dc:identifier") == [f"{PUBLIC}products/soc-0-20cm/{record.id}", record.id]
        assert "https://creativecommons.org/licenses/by-sa/4.0/" in found(root, "//dc:rights")
        assert any("simulated" in each for each in found(root, "//dc:description"))
        known = {"title", "creator", "subject", "description", "publisher", "contributor", "date", "type", "format",
                 "identifier", "source", "language", "relation", "coverage", "rights"}  # fmt: skip
        (dc,) = root.xpath("//o:metadata/*", namespaces=OAI)
        assert {etree.QName(each).localname for each in dc} <= known

    def test_iso_is_valid_and_names_files_by_whole_addresses(self, oai: Asking, iso_schemas: Path) -> None:
        iso = load_iso_schema(iso_schemas)
        records = [each for part in whole_list(oai, "ListRecords", metadataPrefix="iso19139")
                   for each in part.xpath("//o:metadata/*", namespaces=OAI)]  # fmt: skip
        assert len(records) == 4
        for record in records:
            iso.assertValid(etree.fromstring(etree.tostring(record)))
            addresses = found(record, ".//gmd:distributionInfo//gmd:URL")
            assert addresses
            assert all(each.startswith(PUBLIC) for each in addresses)

    def test_post_is_as_get(self, oai: Asking) -> None:
        form = {"verb": "ListIdentifiers", "metadataPrefix": "oai_dc"}
        posted = etree.fromstring(oai.raw("POST", data=form).content)
        assert identifiers([posted]) == identifiers([oai("ListIdentifiers", metadataPrefix="oai_dc")])

    def test_all_answers_are_valid(self, oai: Asking, schema: etree.XMLSchema, store: Store) -> None:
        asked = [
            oai("Identify"), oai("ListSets"), oai("ListMetadataFormats"), oai("Nonsense"), oai("GetRecord"),
            *whole_list(oai, "ListRecords"), *whole_list(oai, "ListRecords", metadataPrefix="iso19139"),
            oai("ListRecords", metadataPrefix="marc"), oai("ListIdentifiers", metadataPrefix="oai_dc", set="none"),
        ]  # fmt: skip
        (identifier, *_) = identifiers(asked)
        shutil.rmtree(store.root / "catalog" / identifier.rpartition(":")[2])
        store.rebuild()
        asked.append(oai("GetRecord", identifier=identifier, metadataPrefix="oai_dc"))
        assert found(asked[-1], "//o:header/@status") == ["deleted"]
        for root in asked:
            schema.assertValid(root)


class TestErrors:
    @pytest.mark.parametrize(
        ("query", "code"),
        [
            ("", "badVerb"),
            ("verb=identify", "badVerb"),
            ("verb=Identify&verb=Identify", "badVerb"),
            ("verb=Identify&x=1", "badArgument"),
            ("verb=ListRecords", "badArgument"),
            ("verb=ListRecords&metadataPrefix=oai_dc&metadataPrefix=oai_dc", "badArgument"),
            ("verb=ListRecords&metadataPrefix=oai_dc&resumptionToken=x", "badArgument"),
            ("verb=ListRecords&metadataPrefix=oai_dc&from=yesterday", "badArgument"),
            ("verb=ListRecords&metadataPrefix=oai_dc&from=2026-02-30", "badArgument"),
            ("verb=ListRecords&metadataPrefix=oai_dc&from=2026-01-01T00:00:00", "badArgument"),
            ("verb=ListRecords&metadataPrefix=oai_dc&from=2026-01-02&until=2026-01-01", "badArgument"),
            ("verb=ListRecords&metadataPrefix=oai_dc&from=2026-01-01&until=2026-01-02T00:00:00Z", "badArgument"),
            ("verb=ListRecords&metadataPrefix=oai_dc&until=1990-01-01", "noRecordsMatch"),
            ("verb=ListRecords&metadataPrefix=marc21", "cannotDisseminateFormat"),
            ("verb=ListRecords&resumptionToken=abc", "badResumptionToken"),
            ("verb=ListSets&resumptionToken=abc", "badResumptionToken"),
            ("verb=GetRecord&metadataPrefix=oai_dc&identifier=oai:soil.survey.example:../etc", "idDoesNotExist"),
            ("verb=GetRecord&metadataPrefix=oai_dc&identifier=%00", "badArgument"),
            ("verb=ListMetadataFormats&identifier=x", "idDoesNotExist"),
        ],
    )
    def test_as_the_protocol_says(self, oai: Asking, query: str, code: str, schema: etree.XMLSchema) -> None:
        for answer in (
            oai.raw("GET", params=httpx.QueryParams(query)),
            oai.raw("POST", content=query, headers={"content-type": "application/x-www-form-urlencoded"}),
        ):
            root = etree.fromstring(answer.content)
            assert error_of(root) == code
            repeats = bool(root.find("o:request", OAI).attrib)  # type: ignore[union-attr]
            assert repeats is (code not in ("badVerb", "badArgument"))
            schema.assertValid(root)

    def test_nonsense_is_answered_and_never_a_fault(self, oai: Asking) -> None:
        rng = random.Random(1)
        names = ["verb", "identifier", "metadataPrefix", "from", "until", "set", "resumptionToken", "\ud7ff", ""]
        verbs = ["ListRecords", "GetRecord", "ListSets", "Identify", ""]
        pool = string.printable + "\x00\x1fé\ufffe\U0001f600"
        token = found(oai("ListRecords", metadataPrefix="oai_dc"), "//o:resumptionToken")[0]
        for _ in range(150):
            text = "".join(rng.choices(pool, k=rng.randrange(12)))
            broken = list(token)
            broken[rng.randrange(len(broken))] = rng.choice(pool)
            query = [("verb", rng.choice(verbs))] if rng.random() < 0.9 else []
            query += [(rng.choice(names), rng.choice([text, "oai_dc", "".join(broken)])) for _ in range(3)]
            answer = oai.raw("GET", params=query)
            assert answer.status_code == 200, query
            etree.fromstring(answer.content)

    def test_token_with_a_lone_surrogate_is_none(self, oai: Asking) -> None:
        import base64

        values = json.dumps(["oai_dc", None, None, "\ud800", 1, 1, 1], separators=(",", ":"))
        token = base64.urlsafe_b64encode(values.encode()).decode().rstrip("=")
        assert error_of(oai("ListRecords", resumptionToken=token)) == "badResumptionToken"

    def test_long_form_is_refused(self, oai: Asking) -> None:
        assert oai.raw("POST", content=b"x" * 20_000).status_code == 413


class Clock:
    now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


class TestLedger:
    @pytest.fixture
    def clock(self) -> Clock:
        return Clock()

    @pytest.fixture
    def ledger(self, store: Store, clock: Clock) -> Ledger:
        return Ledger(store, clock)

    def test_what_comes_and_goes_is_found_since(
        self, store: Store, ledger: Ledger, clock: Clock, tmp_path: Path
    ) -> None:
        assert {each.stamp for each in ledger.page(Selection(), None, 10)} == {1_800_000_000}
        clock.now += 100
        new = products.composite(tmp_path / "new", left=4_331_000)
        store.register(new, tmp_path / "new")
        since = Selection(since=1_800_000_001)
        assert [(each.id, each.deleted) for each in ledger.page(since, None, 10)] == [(new.id, False)]
        clock.now += 100
        shutil.rmtree(store.root / "catalog" / new.collection / new.id)
        store.rebuild()
        (gone,) = ledger.page(since, None, 10)
        assert (gone.id, gone.deleted, gone.stamp) == (new.id, True, 1_800_000_200)
        clock.now += 100
        store.register(new, tmp_path / "new")
        (again,) = ledger.page(since, None, 10)
        assert (again.id, again.deleted, again.stamp) == (new.id, False, 1_800_000_300)

    def test_another_process_sees_the_same(self, store: Store, ledger: Ledger, clock: Clock) -> None:
        first = ledger.page(Selection(), None, 10)
        clock.now += 50
        assert Ledger(store, clock).page(Selection(), None, 10) == first

    def test_what_the_store_tells_is_followed_without_a_walk(
        self, store: Store, ledger: Ledger, clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        before = {each.id: each.stamp for each in ledger.page(Selection(), None, 10)}
        monkeypatch.setattr(Ledger, "_compared", lambda *_: pytest.fail("every record was looked at"))
        clock.now += 100
        new = products.composite(tmp_path / "new", left=4_331_000)
        store.register(new, tmp_path / "new")
        (gone,) = store.items("samples")
        store.remove("samples", gone)
        store.rebuild()  # what is the same is not told again
        after = {each.id: (each.stamp, each.deleted) for each in ledger.page(Selection(), None, 10)}
        changed = {new.id: (1_800_000_100, False), gone: (1_800_000_100, True)}
        assert after == {name: (stamp, False) for name, stamp in before.items()} | changed

    def test_stamps_never_go_back(self, store: Store, ledger: Ledger, clock: Clock, tmp_path: Path) -> None:
        ledger.count(Selection())
        clock.now -= 10_000
        new = products.composite(tmp_path / "new", left=4_331_000)
        store.register(new, tmp_path / "new")
        found_ = ledger.find(new.collection, new.id)
        assert found_ is not None
        assert found_.stamp == 1_800_000_000

    def test_a_list_that_changes_on_the_way_loses_nothing(self, oai: Asking, store: Store, tmp_path: Path) -> None:
        before = identifiers(whole_list(oai))
        part = oai("ListIdentifiers", metadataPrefix="oai_dc")
        new = products.composite(tmp_path / "new", left=4_331_000)
        store.register(new, tmp_path / "new")
        (token,) = found(part, "//o:resumptionToken")
        parts = [part]
        while token:
            parts.append(oai("ListIdentifiers", resumptionToken=token))
            token = "".join(found(parts[-1], "//o:resumptionToken"))
        assert set(identifiers(parts)) >= set(before)
        assert len(set(identifiers(parts))) == len(identifiers(parts))

    def test_closed_collections_are_not_there(self, oai: Asking, store: Store) -> None:
        (name,) = store.items("models")
        identifier = f"oai:soil.survey.example:models/{name}"
        token = HIDDEN.set(frozenset({"models"}))
        try:
            assert "models" not in found(oai("ListSets"), "//o:setSpec")
            assert identifier not in identifiers(whole_list(oai))
            assert error_of(oai("ListRecords", metadataPrefix="oai_dc", set="models")) == "noRecordsMatch"
            assert error_of(oai("GetRecord", metadataPrefix="oai_dc", identifier=identifier)) == "idDoesNotExist"
        finally:
            HIDDEN.reset(token)
        assert identifier in identifiers(whole_list(oai))

    def test_damaged_record_spoils_only_itself(self, oai: Asking, store: Store) -> None:
        (name,) = store.items("models")
        (store.root / "catalog" / "models" / name / "product.json").write_text("{")
        records = [each for part in whole_list(oai, "ListRecords") for each in found(part, "//o:record//o:identifier")]
        assert len(records) == 3
        identifier = f"oai:soil.survey.example:models/{name}"
        answer = oai.raw("GET", params={"verb": "GetRecord", "identifier": identifier, "metadataPrefix": "oai_dc"})
        assert answer.status_code == 503

    def test_many_at_once_begin_one_ledger(self, store: Store, clock: Clock) -> None:
        def ask(_: int) -> list[tuple[int, str, int]]:
            return [(each.number, each.id, each.stamp) for each in Ledger(store, clock).page(Selection(), None, 10)]

        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(ask, range(16)))
        assert len(answers[0]) == 4
        assert all(each == answers[0] for each in answers)

    def test_damaged_ledger_is_told(self, store: Store, ledger: Ledger) -> None:
        (store.root / LEDGER_FILE).write_bytes(b"no database" * 100)
        with pytest.raises(StoreError, match=r"oai\.sqlite cannot be used"):
            ledger.count(Selection())


@pytest.fixture
def harvester(store: Store, settings: Settings) -> Iterator[Callable[..., object]]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # of sickle's own
        sickle = pytest.importorskip("sickle")
    with serving(application(store, settings, page=2)) as address:
        client = sickle.Sickle(f"{address}/oai")
        yield client


class TestSickle:
    def test_harvests_everything(self, harvester, store: Store) -> None:
        records = list(harvester.ListRecords(metadataPrefix="oai_dc"))
        assert len(records) == sum(len(store.items(each)) for each in store.collections())
        assert all(re.fullmatch(r"oai:cup4soil\.invalid:[^/]+/[^/]+", each.header.identifier) for each in records)
        assert {each.metadata["language"][0] for each in records} == {"en"}
        assert harvester.Identify().deletedRecord == "persistent"
        assert {each.metadataPrefix for each in harvester.ListMetadataFormats()} >= {"oai_dc", "iso19139"}
        assert [each.setSpec for each in harvester.ListSets()] == sorted(store.collections())
        assert len(list(harvester.ListRecords(metadataPrefix="iso19139"))) == len(records)

    def test_harvests_since(self, harvester, store: Store) -> None:
        import sickle.oaiexceptions

        since = {"from": "2999-01-01T00:00:00Z"}
        with pytest.raises(sickle.oaiexceptions.NoRecordsMatch):
            harvester.ListRecords(metadataPrefix="oai_dc", **since)
        (name,) = store.items("samples")
        found_ = harvester.GetRecord(identifier=f"oai:cup4soil.invalid:samples/{name}", metadataPrefix="oai_dc")
        assert found_.metadata["title"] == ["Soil samples of Brandenburg"]

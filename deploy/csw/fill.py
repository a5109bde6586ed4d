"""Take the records of a service into pycsw: ``python fill.py https://survey.example/oai``.

Everything is taken anew at each run, into a database that replaces the one before when it is whole.
"""

import os
import sys
from pathlib import Path

import requests
from configuration import configuration
from lxml import etree
from pycsw.core import admin, config

_OAI = {"o": "http://www.openarchives.org/OAI/2.0/"}
_PARSER = etree.XMLParser(no_network=True, resolve_entities=False)
_SECONDS = 60


def harvest(address: str, folder: Path) -> int:
    """Write each ISO 19139 record of an OAI-PMH endpoint into ``folder``; returns how many there are."""
    count = 0
    arguments = {"verb": "ListRecords", "metadataPrefix": "iso19139"}
    while True:
        answer = requests.get(address, params=arguments, timeout=_SECONDS)
        answer.raise_for_status()
        root = etree.fromstring(answer.content, _PARSER)
        for error in root.findall("o:error", _OAI):
            if error.get("code") != "noRecordsMatch":
                raise SystemExit(f"{address}: {error.text}")
        for record in root.iterfind(".//o:metadata/*", _OAI):
            count += 1
            (folder / f"{count}.xml").write_bytes(etree.tostring(record, encoding="UTF-8", xml_declaration=True))
        token = root.findtext(".//o:resumptionToken", None, _OAI)
        if not token:
            return count
        arguments = {"verb": "ListRecords", "resumptionToken": token}


def main(address: str) -> None:
    """Fill a new database and put it in the place of the old."""
    home = Path(os.environ["CSW_HOME"])
    records, part, final = home / "records", home / "records.part.sqlite", home / "records.sqlite"
    records.mkdir(parents=True, exist_ok=True)
    for old in [*records.glob("*.xml"), part]:
        old.unlink(missing_ok=True)
    count = harvest(address, records)
    settings = configuration()
    context, database, table = config.StaticContext(), f"sqlite:///{part}", settings.get("repository", "table")
    admin.setup_db(database, table, str(home))
    admin.load_records(context, database, table, str(records))
    part.replace(final)
    print(f"{count} records")


if __name__ == "__main__":
    main(sys.argv[1])

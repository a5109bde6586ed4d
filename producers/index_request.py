"""What an index product is asked for."""

from pathlib import Path

from producers.composite_request import ArchiveRequest


class IndexRequest(ArchiveRequest):
    """As :class:`ArchiveRequest`; ``update`` is the folder of an earlier index product to be brought up to date."""

    update: Path | None = None

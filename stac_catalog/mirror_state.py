"""What a mirror knows of itself: a file at its root."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Self

from cup4soil.errors import InvalidInput
from stac_catalog.destinations import Destination

STATE_FILE: Final = "cup4soil-mirror.json"
_FORMAT: Final = {"format": "cup4soil-mirror", "version": 1}


@dataclass(frozen=True, slots=True)
class State:
    """Up to which mark of the store's ledger it is complete (empty while it is not), in what form, and its lists."""

    mark: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    documents: dict[str, str] = field(default_factory=dict)
    exists: bool = True

    @classmethod
    def read(cls, destination: Destination) -> Self:
        """The state of the mirror at a destination, which may be empty.

        Raises:
            InvalidInput: when something else is there.
            StoreError: when it cannot be reached.
        """
        content = destination.read(STATE_FILE)
        if content is None:
            other = next(iter(destination.paths()), None)
            if other is not None:
                raise InvalidInput(
                    f"{destination.address} is no mirror and holds other files, such as {other}", "give an empty place"
                )
            return cls(exists=False)
        try:
            found = json.loads(content)
            if {name: found[name] for name in _FORMAT} != _FORMAT:
                raise InvalidInput(f"{destination.address} is a mirror of another version", "give an empty place")
            return cls(str(found["mark"]), dict(found["options"]), dict(found["documents"]))
        except (ValueError, LookupError, TypeError):
            # Everything is looked at then.
            return cls()

    def write(self, destination: Destination) -> None:
        """Keep the state.

        Raises:
            StoreError: when it cannot be written.
        """
        fields = {"mark": self.mark, "options": self.options, "documents": self.documents}
        destination.write(STATE_FILE, (json.dumps(_FORMAT | fields, indent=1) + "\n").encode())

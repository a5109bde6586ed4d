"""How long a search may take."""

import time

from cup4soil.errors import LimitExceeded


class Deadline:
    """The moment ``seconds`` from now."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds

    @property
    def passed(self) -> bool:
        """True from then on."""
        return time.monotonic() > self._end

    @property
    def error(self) -> LimitExceeded:
        """What a search that takes longer is told."""
        return LimitExceeded(f"the search took longer than {self._seconds:g} s", "ask for less at a time")

    def check(self) -> None:
        """Go on only before then.

        Raises:
            LimitExceeded: later.
        """
        if self.passed:
            raise self.error

"""Helpers: processes that fill folders of items for another one. Run as a program by :class:`Helpers`.

A helper is told what to do through a connection and ends when that does, however the other end was closed.
"""

import os
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from queue import SimpleQueue
from typing import Final

from cup4soil.errors import Cup4soilError
from stac_catalog.item_folders import ItemFolders, Job

_COMMAND: Final = (sys.executable, "-I", "-m", "stac_catalog.helpers")
_READY: Final = "ready"


class HelperLost(Exception):
    """A helper has ended before it was through with what it was asked."""


class Helpers:
    """So many helpers; a thread for each hands it one list of jobs after the other.

    Raises:
        OSError: when the system has no room for them.
    """

    def __init__(self, folders: ItemFolders, count: int) -> None:
        self._helpers = [_Helper() for _ in range(count)]
        self._strangers: SimpleQueue[_Helper] = SimpleQueue()
        for helper in self._helpers:
            self._strangers.put(helper)
        self._own = threading.local()
        self._threads = ThreadPoolExecutor(count, "helper", self._welcome, (folders,))

    def ask(self, jobs: Sequence[Job]) -> Future[list[Cup4soilError | None]]:
        """How the jobs ended, once a helper has done them; may be cancelled while none has begun.

        The future raises :class:`HelperLost` when the helper has ended.
        """
        return self._threads.submit(self._answer, jobs)

    def dismiss(self) -> None:
        """End the helpers, whatever they are at."""
        for helper in self._helpers:
            helper.process.kill()
        self._threads.shutdown(cancel_futures=True)
        for helper in self._helpers:
            helper.process.wait()
            helper.connection.close()

    def _welcome(self, folders: ItemFolders) -> None:
        """Wait until a helper is ready: what none of them can begin yet is left to others."""
        helper = self._own.helper = self._strangers.get()
        with suppress(OSError, EOFError):
            helper.connection.send(folders)
            helper.connection.recv()

    def _answer(self, jobs: Sequence[Job]) -> list[Cup4soilError | None]:
        helper: _Helper = self._own.helper
        try:
            helper.connection.send(jobs)
            answer: list[Cup4soilError | None] = helper.connection.recv()
        except (OSError, EOFError) as error:
            helper.process.kill()
            code = helper.process.wait()
            raise HelperLost(f"a process that fills folders of items has ended with code {code}") from error
        return answer


class _Helper:
    """A process and the connection to it."""

    def __init__(self) -> None:
        self.connection, theirs = Pipe()
        with theirs:
            self.process = subprocess.Popen(  # noqa: S603
                (*_COMMAND, str(theirs.fileno())),
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                process_group=0,  # an interrupt is for the one that asks
            )


def help_with(connection: Connection) -> None:
    """Do what is asked until nobody asks any more."""
    boss = os.getppid()
    folders: ItemFolders = connection.recv()
    connection.send(_READY)
    while True:
        answer = []
        for job in connection.recv():
            if os.getppid() != boss:
                return
            answer.append(folders.outcome(job))
        connection.send(answer)


if __name__ == "__main__":
    with Connection(int(sys.argv[1])) as asked, suppress(EOFError, ConnectionError):
        help_with(asked)

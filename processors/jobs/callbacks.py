"""Telling a client how its job goes, at addresses of hosts that the operator allows.

Nothing else of the service ever asks another host on a client's word. What is sent is a job's status or
results; what comes back is not read, and redirections are not followed.
"""

import http.client
import json
import logging
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final
from urllib.parse import urlsplit

from cup4soil.errors import InvalidInput
from stac_catalog.hosts import connected, is_allowed

EVENTS: Final = {"successUri": "successful", "inProgressUri": "running", "failedUri": "failed"}
_TIMEOUT_S = 10.0
_WAITS_S = (0.0, 2.0, 10.0)
_LOGGER = logging.getLogger(__name__)

type Subscriber = Mapping[str, str]


def parse_subscriber(given: object, allowed: Sequence[str]) -> dict[str, str]:
    """The addresses of an execute request's ``subscriber``; ``allowed`` as the setting ``callback_hosts`` has it.

    Raises:
        InvalidInput: when callbacks are not offered, or an address is not allowed.
    """
    if not allowed:
        raise InvalidInput("callbacks (subscriber) are not offered", "ask for the job's status instead")
    if not isinstance(given, Mapping) or "successUri" not in given or set(given) - set(EVENTS):
        raise InvalidInput("subscriber is malformed", f"give successUri, and if wanted {', '.join(sorted(EVENTS))}")
    for name, address in given.items():
        if not is_allowed(address, allowed):
            raise InvalidInput(
                f"{name} is not at a host that callbacks may go to", "ask the operator which hosts are allowed"
            )
    return {str(name): str(address) for name, address in given.items()}


class Callbacks:
    """Sends what happens to jobs, one after the other and beside the work; what cannot be delivered is logged."""

    def __init__(self, allowed: Sequence[str], waits_s: Sequence[float] = _WAITS_S) -> None:
        self._allowed = tuple(allowed)
        self._waits_s = waits_s
        self._pool = ThreadPoolExecutor(1, thread_name_prefix="callbacks")

    def tell(self, job_id: str, subscriber: Subscriber, event: str, body: Mapping[str, Any]) -> None:
        """Send ``body`` to the address for ``event`` (a key of :data:`EVENTS`), where there is one."""
        address = subscriber.get(event)
        # Looked at again: the setting may have changed since the job was accepted.
        if address is not None and is_allowed(address, self._allowed):
            self._pool.submit(self._deliver, job_id, address, json.dumps(body).encode())

    def close(self) -> None:
        """Wait for what is being sent, and drop the rest."""
        self._pool.shutdown(cancel_futures=True)

    def _deliver(self, job_id: str, address: str, body: bytes) -> None:
        reason = ""
        for wait_s in self._waits_s:
            time.sleep(wait_s)
            try:
                status = _post(address, body)
            except (OSError, http.client.HTTPException) as error:
                reason = type(error).__name__
                continue
            if status < 300:
                return
            reason = f"status {status}"
            if status < 500:
                break
        _LOGGER.warning("a callback to %s failed: %s", urlsplit(address).hostname, reason, extra={"job": job_id})


def _post(address: str, body: bytes) -> int:
    connection, target = connected(address, _TIMEOUT_S)
    try:
        connection.request("POST", target, body, {"Content-Type": "application/json"})
        return connection.getresponse().status
    finally:
        connection.close()

"""pycsw as a WSGI application: ``waitress-serve --port 8001 app:application`` in this folder.

Its own entry point opens whatever file a client names by the parameter ``config``; this one has no such parameter.
"""

import os
from collections.abc import Callable, Iterable
from typing import Any

from configuration import configuration
from pycsw import server

_MOST_BYTES = 1_000_000


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """See WSGI."""
    length = environ.get("CONTENT_LENGTH") or "0"
    if not length.isdigit() or int(length) > _MOST_BYTES:
        start_response("413 Content Too Large", [("Content-Type", "text/plain")])
        return [b"the request is too long\n"]
    environ["local.app_root"] = os.environ["CSW_HOME"]
    service = server.Csw(configuration(), environ)
    status, content = service.dispatch_wsgi()
    start_response(status, [("Content-Type", service.contenttype), ("Content-Length", str(len(content)))])
    return [content]

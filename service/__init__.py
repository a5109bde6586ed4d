"""The command line, and the only place where the parts are wired together."""

import logging

# When imported it asks for settings by environment variables of its own; ours are given in the call.
logging.getLogger("stac_fastapi.types.config").setLevel(logging.ERROR)

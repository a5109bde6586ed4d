"""The process ``predict-soil-property`` as a plugin of pygeoapi, which lists and describes it.

What it does is in :mod:`processors.predict_process`; the manager executes it.
"""

from copy import deepcopy
from typing import Any

from pygeoapi.process.base import BaseProcessor

from processors.predict_process import DESCRIPTION


class PredictSoilPropertyProcessor(BaseProcessor):  # type: ignore[misc]
    """The description of the process, for pygeoapi."""

    def __init__(self, processor_def: dict[str, Any]) -> None:
        # pygeoapi adds to the description while it serves it.
        super().__init__(processor_def, deepcopy(DESCRIPTION))

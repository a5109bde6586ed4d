"""A worker as a process of its own: ``python -m tests.processors.worker_process STORE SETTINGS [CHILD]``."""

import logging
import sys
from pathlib import Path

from processors.jobs import worker
from processors.jobs.settings import JobSettings

if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO)
    if len(sys.argv) > 3:
        worker._CHILD = (sys.executable, "-I", sys.argv[3])
    worker.run_worker(Path(sys.argv[1]), JobSettings.model_validate_json(sys.argv[2]), worker.stop_on_signals())

"""A run of maps in a process of its own, for a test that kills it: its arguments are MODEL, COVARIATES and OUT.

Each block takes a while, so that there is time to kill the run between two of them.
"""

import sys
import time
from pathlib import Path

from cup4soil.progress import Silent
from producers import prediction_run
from producers.prediction import deliver_maps
from tests.producers.map_runs import planned, small_blocks


def main() -> None:
    model, covariates, out = map(Path, sys.argv[1:])
    predict = prediction_run.predict_window

    def slowly(*given):
        time.sleep(0.1)
        return predict(*given)

    prediction_run.predict_window = slowly
    with small_blocks():
        for _ in deliver_maps(planned(model, covariates), out, None, Silent()):
            pass


if __name__ == "__main__":
    main()

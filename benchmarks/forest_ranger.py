"""R's ranger as a peer of the forest: a process of R that trains once and predicts when told."""

import shutil
import subprocess
from pathlib import Path
from typing import IO, Self

import numpy as np
from numpy.typing import NDArray

_SCRIPT = """
suppressMessages(library(ranger))
a <- commandArgs(TRUE); folder <- a[1]; f <- as.integer(a[2]); trees <- as.integer(a[3]); threads <- as.integer(a[4])
table <- function(name) {
  path <- file.path(folder, name)
  v <- readBin(path, "double", file.size(path) / 8)
  m <- matrix(v, ncol = f, byrow = TRUE); colnames(m) <- paste0("x", seq_len(f)); as.data.frame(m)
}
x <- table("samples"); y <- readBin(file.path(folder, "values"), "double", nrow(x)); at <- table("pixels")
forest <- ranger(x = x, y = y, num.trees = trees, min.node.size = 10, mtry = max(1, f %/% 3), quantreg = TRUE,
                 num.threads = threads, seed = 1, verbose = FALSE)
cat("ready\n")
taus <- c(0.05, 0.5, 0.95)
lines <- file("stdin", "r")
while (length(asked <- readLines(lines, 1)) > 0) {
  start <- proc.time()
  if (asked == "mean") p <- predict(forest, at, num.threads = threads, verbose = FALSE)
  else p <- predict(forest, at, type = "quantiles", quantiles = taus, num.threads = threads, verbose = FALSE)
  spent <- proc.time() - start
  cat(spent[["elapsed"]], spent[["user.self"]] + spent[["sys.self"]], "\n")
}
"""


def why_not() -> str | None:
    """Why ranger cannot be run here, or None where it can."""
    if shutil.which("Rscript") is None:
        return "Rscript is not installed"
    found = subprocess.run(["Rscript", "-e", "library(ranger)"], capture_output=True, check=False)
    return None if found.returncode == 0 else "R has no package ranger (Debian: r-cran-ranger)"


class Ranger:
    """One observation kept per leaf and tree, as SoilGrids uses it; nodes of 10 draws are split, as ours are."""

    def __init__(
        self,
        folder: Path,
        samples: NDArray[np.float32],
        values: NDArray[np.float64],
        pixels: NDArray[np.float32],
        trees: int,
        threads: int,
    ) -> None:
        for name, array in (("samples", samples), ("values", values), ("pixels", pixels)):
            array.astype("<f8").tofile(folder / name)
        script = folder / "ranger.R"
        script.write_text(_SCRIPT)
        self._process = subprocess.Popen(
            ["Rscript", str(script), str(folder), str(samples.shape[1]), str(trees), str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        if self._read() != "ready":
            raise RuntimeError("R ended before it had trained; its message is above")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pipe(self._process.stdin).close()
        self._process.wait()

    def predict(self, what: str) -> tuple[float, float]:
        """Seconds on the clock and of the processors for "mean" or "quantiles" of all pixels."""
        into = self._pipe(self._process.stdin)
        into.write(f"{what}\n")
        into.flush()
        clock, processor = self._read().split()
        return float(clock), float(processor)

    def _read(self) -> str:
        return self._pipe(self._process.stdout).readline().strip()

    @staticmethod
    def _pipe(pipe: IO[str] | None) -> IO[str]:
        assert pipe is not None
        return pipe

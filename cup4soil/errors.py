"""One tree of errors with one wording.

A message says what was wrong, names the value, and, after a semicolon, what would be right.
It is one line: the command line prints it as it is, the services put it into problem+json.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Cup4soilError(Exception):
    """Base of every error this package raises on purpose.

    ``problem`` is what was wrong with which value, ``hint`` what would be right.
    """

    def __init__(self, problem: str, hint: str = "") -> None:
        self.problem = " ".join(problem.split())
        self.hint = " ".join(hint.split())
        super().__init__(f"{self.problem}; {self.hint}" if self.hint else self.problem)


class InvalidInput(Cup4soilError):
    """A value given by the caller cannot be used."""


class NotFound(InvalidInput):
    """A file, item, column or band that was named does not exist."""


class InvalidArea(InvalidInput):
    """An area of interest is no usable area."""


class InvalidSamples(InvalidInput):
    """A table of soil samples cannot be used."""


class InvalidRaster(InvalidInput):
    """A raster cannot be read or contradicts the others."""


class MissingOffset(InvalidInput):
    """The archive does not say which offset its digital numbers carry."""


class Conflict(InvalidInput):
    """What is asked does not go together with what is there already."""


class ChangedMeanwhile(Conflict):
    """What a client wants to change is not any more what it has seen."""


class LicenceConflict(InvalidInput):
    """The licences of the sources cannot be combined in one product."""


class NoData(Cup4soilError):
    """The request is valid, but there is nothing to compute from."""


class LimitExceeded(Cup4soilError):
    """The request is larger than a set limit."""


class StoreError(Cup4soilError):
    """A result could not be written, or a store is damaged or in use."""


class ClusterLost(StoreError):
    """The cluster that computes cannot be reached, or was lost while it did."""


class DamagedProduct(StoreError):
    """A file of a registered product is missing or cannot be read.

    ``told`` says so to anybody: it names the ``product`` (collection/item), and nothing of the machine.
    """

    def __init__(self, product: str, problem: str, hint: str = "") -> None:
        super().__init__(f"{product}: {problem}", hint)
        self.told = f"a file of the product {product} cannot be read at present; other products are not affected"


_OS_REASONS = {
    errno.ENOSPC: ("no space left on the device", "free some space and run again"),
    errno.EDQUOT: ("the disk quota is used up", "free some space and run again"),
    errno.EFBIG: ("a file grew past the size the system allows", "raise the limit and run again"),
    errno.EACCES: ("no permission to write", "choose a folder you may write to"),
    errno.EPERM: ("no permission to write", "choose a folder you may write to"),
    errno.EROFS: ("the file system is read-only", "choose a folder you may write to"),
    errno.ENOTDIR: ("a part of the path is a file", "choose a folder"),
    errno.EEXIST: ("a file is in the way", "choose another folder or remove it"),
}


@contextmanager
def reading(source: Path, kind: type[Cup4soilError] = InvalidInput) -> Iterator[None]:
    """Turn the operating system's refusals while reading ``source`` into ``kind``."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise kind(f"{source} cannot be read: {error.strerror or error}", "give what you may read") from error


@contextmanager
def reading_product(product: str) -> Iterator[None]:
    """Turn what is wrong with the store while files of ``product`` (collection/item) are read into DamagedProduct."""
    try:
        yield
    except DamagedProduct:
        raise
    except StoreError as error:
        raise DamagedProduct(product, error.problem, error.hint) from error


@contextmanager
def writing(target: Path) -> Iterator[None]:
    """Turn the operating system's refusals while writing below ``target`` into StoreError."""
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        reason, hint = _OS_REASONS.get(error.errno, (error.strerror or str(error), ""))
        raise StoreError(f"cannot write {target}: {reason}", hint) from error

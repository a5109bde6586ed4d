"""Settings: one object, built once where the program starts, passed in from there."""

from pathlib import Path
from typing import Literal

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict

type Licence = Literal["CC-BY-4.0", "CC-BY-SA-4.0", "CC-BY-NC-4.0", "CC-BY-NC-SA-4.0", "CC0-1.0"]


class Settings(BaseSettings):
    """What an operator may set, as arguments or as ``CUP4SOIL_...`` in the environment."""

    model_config = SettingsConfigDict(env_prefix="CUP4SOIL_", frozen=True)

    store: Path | None = Field(default=None, description="Store that commands use when none is given.")
    threads: int = Field(default=2, ge=1, le=256, description="Threads of a process that reads and computes blocks.")
    workers: int = Field(default=2, ge=1, le=256, description="Processes of this machine that share a large run.")
    block_memory_mib: int = Field(
        default=1024, ge=32, description="Memory one block of a run may take, in each process (MiB)."
    )
    max_cells: int = Field(default=2_000_000_000, ge=1, description="Largest grid a run may write (cells).")
    organisation: str = Field(default="CUP4SOIL", min_length=1, description="Who is responsible for the products.")
    contact_email: str = Field(default="", description="Where questions about the products go.")
    contact_url: str = Field(default="", description="Web address of the organisation.")
    data_policy: Licence = Field(
        default="CC-BY-NC-SA-4.0", description="Licence (SPDX) of products whose sources leave it open."
    )

"""Settings: one object, built once where the program starts, passed in from there."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class Settings(BaseSettings):
    """What an operator may set, as arguments or as ``CUP4SOIL_...`` in the environment."""

    model_config = SettingsConfigDict(env_prefix="CUP4SOIL_", frozen=True)

    store: Path | None = Field(default=None, description="Store that commands use when none is given.")
    threads: int = Field(default=2, ge=1, le=256, description="Threads that read scenes and compute blocks.")
    block_memory_mib: int = Field(default=512, ge=32, description="Memory one block of a run may take (MiB).")
    max_cells: int = Field(default=2_000_000_000, ge=1, description="Largest grid a run may write (cells).")
    organisation: str = Field(default="CUP4SOIL", min_length=1, description="Who is responsible for the products.")
    contact_email: str = Field(default="", description="Where questions about the products go.")
    contact_url: str = Field(default="", description="Web address of the organisation.")
    data_policy: str = Field(
        default="CC-BY-NC-SA-4.0", description="Licence (SPDX) of products whose sources leave it open."
    )

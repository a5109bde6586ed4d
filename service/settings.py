"""Settings of the service: those of products and jobs, and how it is reached."""

from pydantic import Field

from processors.coverage_settings import CoverageSettings
from processors.jobs.settings import JobSettings


class ServiceSettings(JobSettings, CoverageSettings):
    """Everything an operator may set, as ``CUP4SOIL_...`` in the environment."""

    cors_origins: tuple[str, ...] = Field(
        default=("*",), description='Web pages that may read the service, as JSON list; ["*"] for all.'
    )
    local_url: str = Field(
        default="http://127.0.0.1:8000", description="Address the service listens on; `cup4soil serve` sets it."
    )
    search_items: int = Field(default=1000, ge=1, description="Most items on one page of the STAC API.")
    search_seconds: float = Field(default=10.0, gt=0, description="Longest time one search may take (s).")
    request_kib: int = Field(default=4096, ge=1, description="Largest body of any request (KiB).")
    trust_proxy: bool = Field(
        default=False, description="Whether to believe X-Forwarded headers: only behind a proxy that sets them."
    )

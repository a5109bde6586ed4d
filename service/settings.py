"""Settings of the service: those of products and jobs, and how it is reached."""

from pydantic import Field

from processors.coverage_settings import CoverageSettings
from processors.jobs.settings import JobSettings


class ServiceSettings(JobSettings, CoverageSettings):
    """Everything an operator may set, as ``CUP4SOIL_...`` in the environment."""

    cors_origins: tuple[str, ...] = Field(
        default=("*",), description='Web pages that may read the service, as JSON list; ["*"] for all.'
    )
    request_kib: int = Field(default=4096, ge=1, description="Largest body of any request (KiB).")
    trust_proxy: bool = Field(
        default=False, description="Whether to believe X-Forwarded headers: only behind a proxy that sets them."
    )

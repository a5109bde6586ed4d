"""Settings of the service: those of products and jobs, and how it is reached."""

import ipaddress
import re
from typing import Final, Literal

from pydantic import Field, SecretStr, field_validator

from processors.coverage_settings import CoverageSettings
from processors.edr_settings import EdrSettings
from processors.feature_settings import FeatureSettings
from processors.jobs.settings import JobSettings
from processors.map_settings import MapSettings

_SOURCE: Final = re.compile(r"'self'|'none'|https?://[\w*.-]+(?::\d+)?", re.ASCII)


class ServiceSettings(JobSettings, CoverageSettings, EdrSettings, FeatureSettings, MapSettings):
    """Everything an operator may set, as ``CUP4SOIL_...`` in the environment."""

    cors_origins: tuple[str, ...] = Field(
        default=("*",), description='Web pages that may read the service, as JSON list; ["*"] for all.'
    )
    frame_ancestors: tuple[str, ...] = Field(
        default=("'self'",),
        description="""Web pages that may show the service in a frame, as JSON list; ["'none'"] for none.""",
    )
    hsts_seconds: int = Field(
        default=0, ge=0, description="How long browsers are to keep to HTTPS (s); 0 where the proxy says it, or nobody."
    )
    closed_collections: tuple[str, ...] = Field(
        default=(), description="Collections that only holders of the right read:COLLECTION see, as JSON list."
    )
    execute_needs_key: bool = Field(default=False, description="Whether executing a process needs the right execute.")
    trust_identity: bool = Field(
        default=False,
        description="Whether to believe X-Auth-Request-User and -Groups: only behind a proxy that signs people in.",
    )
    group_rights: dict[str, tuple[str, ...]] = Field(
        default={}, description="Rights of the groups that the proxy names, as JSON object."
    )
    least_free_mib: int = Field(default=512, ge=0, description="Free room below which /health tells of it (MiB).")
    log_format: Literal["text", "json"] = Field(default="text", description="Form of the logs: text or json.")
    log_level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="Least level that is logged: debug, info, warning or error."
    )
    metrics_networks: tuple[str, ...] = Field(
        default=("127.0.0.0/8", "::1/128"), description="Networks that may read /metrics, as JSON list."
    )
    local_url: str = Field(
        default="http://127.0.0.1:8000", description="Address the service listens on; `cup4soil serve` sets it."
    )
    asset_hosts: tuple[str, ...] = Field(
        default=(),
        description="Hosts that files of products may be fetched from which a holder of the right write registers, "
        "as JSON list: host or host:port by https, or http://host:port.",
    )
    asset_mib: int = Field(default=1024, ge=1, description="Most that the files of one such request may have (MiB).")
    search_items: int = Field(default=1000, ge=1, description="Most items on one page of the STAC API.")
    search_database: SecretStr | None = Field(
        default=None,
        description="PostgreSQL with PostGIS for searches (pgstac), postgresql://user@host/name;"
        " a file in the store without it.",
    )
    search_seconds: float = Field(default=10.0, gt=0, description="Longest time one search may take (s).")
    request_kib: int = Field(default=4096, ge=1, description="Largest body of any request (KiB).")
    header_kib: int = Field(default=16, ge=4, description="Largest head of any request, its address included (KiB).")
    head_seconds: float = Field(default=20.0, gt=0, description="Longest time a request's head may take to come (s).")
    body_seconds: float = Field(default=60.0, gt=0, description="Longest time a request's body may take to come (s).")
    idle_seconds: int = Field(
        default=75,
        gt=0,
        description="How long a connection is kept for another request (s): longer than clients and proxies keep it.",
    )
    stalled_seconds: float = Field(
        default=30.0, gt=0, description="Longest time a client may leave an answer unread (s)."
    )
    most_connections: int = Field(default=1000, ge=10, description="Most connections of one web process.")
    trust_proxy: bool = Field(
        default=False, description="Whether to believe X-Forwarded headers: only behind a proxy that sets them."
    )

    @field_validator("frame_ancestors")
    @classmethod
    def _sources(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        if not given or not all(_SOURCE.fullmatch(each) for each in given):
            raise ValueError("give 'self', 'none' or origins such as https://portal.example, each in quotes of JSON")
        return given

    @field_validator("metrics_networks")
    @classmethod
    def _networks(cls, given: tuple[str, ...]) -> tuple[str, ...]:
        for each in given:
            ipaddress.ip_network(each)
        return given

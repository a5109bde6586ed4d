"""What an operator may set for processes and jobs, in the environment beside the other settings."""

from pathlib import Path

from pydantic import Field, SecretStr

from cup4soil.settings import Settings


class JobSettings(Settings):
    """The settings of the system with the limits of processes and jobs (``CUP4SOIL_...``)."""

    covariates: Path | None = Field(
        default=None, description="Folder of covariates for models that were not trained on products of the store."
    )
    public_url: str | None = Field(
        default=None,
        description="Address under which clients see the service; without it that of each request,"
        " and below /ogc in part the one listened on.",
    )
    callback_hosts: tuple[str, ...] = Field(
        default=(), description="Hosts (host, host:port or http://host:port) that jobs may call back, as JSON list."
    )
    input_hosts: tuple[str, ...] = Field(
        default=(), description="Hosts, written as those, that inputs given by address may be fetched from."
    )
    sync_cells: int = Field(default=250_000, ge=1, description="Largest area answered at once (cells).")
    job_cells: int = Field(default=25_000_000, ge=1, description="Largest area of one job (cells).")
    sync_at_once: int = Field(
        default=2, ge=1, le=64, description="Immediate answers that one web process computes at the same time."
    )
    execute_kib: int = Field(default=2048, ge=1, description="Largest body of an execute request (KiB).")
    area_vertices: int = Field(default=20_000, ge=4, description="Most vertices of an area of interest.")
    jobs_waiting: int = Field(default=100, ge=1, description="Jobs that may be waiting or running, of all clients.")
    jobs_per_client: int = Field(default=8, ge=1, description="Jobs that may be waiting or running, of one client.")
    jobs_database: SecretStr | None = Field(
        default=None, description="PostgreSQL of the jobs, postgresql://user@host/name; a file in the store without it."
    )
    jobs_scheduler: str | None = Field(
        default=None,
        description="Address of a Dask scheduler whose workers compute large jobs, such as tcp://host:8786.",
    )
    jobs_scheduler_cells: int = Field(default=1_000_000, ge=1, description="Area (cells) from which a job is large.")
    jobs_scheduler_fallback: bool = Field(
        default=False, description="Whether large jobs are computed by the worker itself where no scheduler answers."
    )
    job_seconds: int = Field(default=3600, ge=1, description="Longest time a job may run (s).")
    job_memory_mib: int = Field(default=4096, ge=256, description="Memory a job may allocate (MiB).")
    job_attempts: int = Field(default=3, ge=1, le=10, description="Times a job is begun when its worker dies.")
    job_lease_seconds: float = Field(
        default=30.0, gt=0, description="Silence after which a worker counts as dead and its job is taken again (s)."
    )
    job_retention_days: float = Field(default=7.0, gt=0, description="Days that finished jobs and results are kept.")
    job_results_mib: int = Field(
        default=20_480, ge=1, description="Room for the results of all jobs (MiB); the oldest make way."
    )

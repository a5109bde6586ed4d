"""What a monitor reads at ``/metrics``: requests, jobs and products, in the text format of Prometheus."""

import ipaddress
import os
from collections.abc import Iterator
from http import HTTPStatus

from fastapi import APIRouter, Request
from fastapi.responses import Response
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from cup4soil import __version__
from processors.jobs.job import FINAL
from processors.jobs.queue import Queue
from service.problems import problem
from service.running import MULTIPROCESS
from service.settings import ServiceSettings
from stac_catalog.store import Store

_REGISTRY = CollectorRegistry()
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

REQUESTS = Counter(
    "cup4soil_http_requests_total", "Requests answered.", ("route", "method", "status"), registry=_REGISTRY
)
DURATION = Histogram(
    "cup4soil_http_request_seconds", "Time until an answer was sent whole (s).", ("route", "method"),
    buckets=_SECONDS, registry=_REGISTRY,
)  # fmt: skip
SENT = Counter("cup4soil_http_sent_bytes_total", "Bytes of bodies sent.", ("route",), registry=_REGISTRY)
RUNNING = Gauge(
    "cup4soil_http_requests_running", "Requests being answered.", registry=_REGISTRY, multiprocess_mode="livesum"
)


def metrics_router(store: Store, settings: ServiceSettings) -> APIRouter:
    """``/metrics``, for the networks that the settings name; others are told that there is no such page."""
    router = APIRouter(tags=["operation"])
    queue = Queue(store.root, settings)
    networks = [ipaddress.ip_network(each) for each in settings.metrics_networks]

    @router.get("/metrics", summary="Figures for a monitor", response_class=Response)
    def metrics(request: Request) -> Response:
        if not _allowed(request, networks, settings.trust_proxy):
            return problem(request, HTTPStatus.NOT_FOUND, "Not Found")
        registry = CollectorRegistry()
        registry.register(_State(store, queue))
        if MULTIPROCESS in os.environ:
            MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
            return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)
        return Response(generate_latest(registry) + generate_latest(_REGISTRY), media_type=CONTENT_TYPE_LATEST)

    return router


class _State(Collector):
    """Jobs and products at the moment of asking, the same in every process."""

    def __init__(self, store: Store, queue: Queue) -> None:
        self._store = store
        self._queue = queue

    def collect(self) -> Iterator[Metric]:
        """See prometheus_client."""
        version = GaugeMetricFamily("cup4soil_version", "The version that runs.", labels=("version",))
        version.add_metric((__version__,), 1)
        yield version
        backlog = self._queue.backlog()
        jobs = GaugeMetricFamily("cup4soil_jobs", "Jobs by state.", labels=("status",))
        for status in ("accepted", "running", *sorted(FINAL)):
            jobs.add_metric((status,), backlog.jobs.get(status, 0))
        yield jobs
        yield GaugeMetricFamily(
            "cup4soil_job_oldest_waiting_seconds", "How long the oldest waiting job has waited (s).", backlog.waiting_s
        )
        products = GaugeMetricFamily("cup4soil_products", "Products by collection.", labels=("collection",))
        for name, count in self._store.counts().items():
            products.add_metric((name,), count)
        yield products


type _Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def _allowed(request: Request, networks: list[_Network], trust_proxy: bool) -> bool:
    # A proxy on this machine would else lend every client its own address.
    if not trust_proxy and any(name in request.headers for name in ("x-forwarded-for", "forwarded", "x-real-ip")):
        return False
    try:
        address = ipaddress.ip_address(request.client.host if request.client else "")
    except ValueError:
        return False
    return any(address in network for network in networks)

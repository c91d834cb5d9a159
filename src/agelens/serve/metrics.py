"""What Prometheus is told."""

from __future__ import annotations

from typing import Final

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, PlatformCollector, ProcessCollector
from prometheus_client.exposition import generate_latest

__all__ = ["Metrics"]

SECONDS: Final = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 30)
FACES: Final = (1, 2, 4, 8, 16, 32, 64)


class Metrics:
    """Of one process; each worker of a service has its own."""

    def __init__(self) -> None:
        """All at zero."""
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.requests = Counter(
            "agelens_requests",
            "Requests by address, method and status",
            ("path", "method", "status"),
            registry=self.registry,
        )
        self.seconds = Histogram(
            "agelens_request_seconds", "From a request's first byte to its answer", ("path",), buckets=SECONDS,
            registry=self.registry,
        )  # fmt: skip
        self.refused = Counter(
            "agelens_refused", "Requests that were refused, by code", ("code",), registry=self.registry
        )
        self.faces = Counter("agelens_faces", "Faces whose age was estimated", registry=self.registry)
        self.images = Counter("agelens_images", "Images, by what became of them", ("outcome",), registry=self.registry)
        self.inside = Gauge("agelens_images_inside", "Images that wait or are in work", registry=self.registry)
        self.batch_faces = Histogram(
            "agelens_batch_faces", "Faces of one run of the network", buckets=FACES, registry=self.registry
        )
        self.network_seconds = Histogram(
            "agelens_network_seconds", "Of one run of the network", buckets=SECONDS, registry=self.registry
        )

    def text(self) -> bytes:
        """In Prometheus's text format."""
        return generate_latest(self.registry)

"""What /metrics tells, for Prometheus. Counts and times; nothing of what was said."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from .request_queue import RequestQueue

SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


class Metrics:
    """The figures of one server."""

    def __init__(self, queue: RequestQueue) -> None:
        self._registry = CollectorRegistry()
        self.requests = Counter(
            "minigemini_requests", "Requests by route and status", ["route", "status"], registry=self._registry
        )
        self.disconnects = Counter(
            "minigemini_disconnects", "Clients that left before their answer", registry=self._registry
        )
        self.tokens = Counter("minigemini_tokens", "Tokens read and written", ["kind"], registry=self._registry)
        self.images = Counter("minigemini_pictures", "Pictures shown to the model", registry=self._registry)
        self.drawn = Counter("minigemini_drawn", "Pictures drawn", registry=self._registry)
        self.seconds = Histogram(
            "minigemini_request_seconds",
            "From the request to its end",
            ["route"],
            buckets=SECONDS,
            registry=self._registry,
        )
        self.first_token = Histogram(
            "minigemini_first_token_seconds",
            "From the request to its first text",
            registry=self._registry,
            buckets=SECONDS,
        )
        running = Gauge("minigemini_running", "Requests that are being answered", registry=self._registry)
        running.set_function(lambda: queue.running)
        inside = Gauge("minigemini_inside", "Requests that are being answered or wait", registry=self._registry)
        inside.set_function(lambda: queue.inside)

    def text(self) -> bytes:
        """All of it in Prometheus' text format."""
        return generate_latest(self._registry)

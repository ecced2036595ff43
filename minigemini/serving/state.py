"""State and Prometheus metrics that all routes of a server share."""

import time
from dataclasses import dataclass, field

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from .backends import Backend, ImageBackend, OcrEngine
from .chat_pipeline import ChatPipeline
from .request_queue import RequestQueue, RequestTask
from .server_settings import ServerSettings

BUCKETS_SECONDS = (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120)


@dataclass
class ServerState:
    """The parts of a server; the pipeline, the queue and the metrics are built from the fields."""

    settings: ServerSettings
    backend: Backend
    image_generator: ImageBackend | None = None
    ocr_engine: OcrEngine | None = None
    created: int = field(default_factory=lambda: int(time.time()))
    tasks: set[RequestTask] = field(default_factory=set)
    """Requests that run or wait for a slot."""

    def __post_init__(self) -> None:
        self.pipeline = ChatPipeline(self.backend, self.image_generator, self.ocr_engine)
        self.queue = RequestQueue(self.settings.concurrency, self.settings.queue, self.settings.max_waiting_bytes)
        self.metrics = Metrics(self.queue)


class Metrics:
    """Counts and times of one server; no metric contains request data."""

    def __init__(self, queue: RequestQueue) -> None:
        self._registry = registry = CollectorRegistry()
        self.requests = Counter(
            "minigemini_requests", "Requests by route and status", ["route", "status"], registry=registry
        )
        self.disconnects = Counter(
            "minigemini_disconnects", "Clients that disconnected before their response", registry=registry
        )
        self.tokens = Counter("minigemini_tokens", "Prompt and generated tokens", ["kind"], registry=registry)
        self.images = Counter("minigemini_pictures", "Images in requests", registry=registry)
        self.generated_images = Counter("minigemini_drawn", "Generated images", registry=registry)
        self.seconds = Histogram(
            "minigemini_request_seconds",
            "Time from a request to the end of its response",
            ["route"],
            buckets=BUCKETS_SECONDS,
            registry=registry,
        )
        self.first_token = Histogram(
            "minigemini_first_token_seconds",
            "Time from a request to its first text",
            buckets=BUCKETS_SECONDS,
            registry=registry,
        )
        running = Gauge("minigemini_running", "Requests that are running", registry=registry)
        running.set_function(lambda: queue.running)
        admitted = Gauge("minigemini_inside", "Requests that are running or waiting", registry=registry)
        admitted.set_function(lambda: queue.admitted)

    def text(self) -> bytes:
        """Return all metrics in the Prometheus text format."""
        return generate_latest(self._registry)

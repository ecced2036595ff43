"""What all routes of one server share."""

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .backends import Backend, ImageBackend, OcrEngine
from .chat_pipeline import ChatPipeline
from .metrics import Metrics
from .request_queue import RequestQueue
from .server_settings import ServerSettings

if TYPE_CHECKING:
    from .request_task import RequestTask


@dataclass
class ServerState:
    """A server's parts; the studio is made of them, the gate and the figures from the settings."""

    settings: ServerSettings
    backend: Backend
    image_generator: ImageBackend | None = None
    reader: OcrEngine | None = None
    created: int = field(default_factory=lambda: int(time.time()))
    tasks: "set[RequestTask]" = field(default_factory=set)
    """What is being worked on."""

    def __post_init__(self) -> None:
        self.pipeline = ChatPipeline(self.backend, self.image_generator, self.reader)
        self.queue = RequestQueue(self.settings.concurrency, self.settings.queue, self.settings.max_waiting_bytes)
        self.metrics = Metrics(self.queue)

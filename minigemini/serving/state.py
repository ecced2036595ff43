"""What all routes of one server share."""

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from .backends import Backend, Painter, Reader
from .chat_pipeline import Studio
from .metrics import Metrics
from .request_queue import Gate
from .server_settings import ServerSettings

if TYPE_CHECKING:
    from .request_task import Work


@dataclass
class House:
    """A server's parts; the studio is made of them, the gate and the figures from the settings."""

    settings: ServerSettings
    backend: Backend
    painter: Painter | None = None
    reader: Reader | None = None
    created: int = field(default_factory=lambda: int(time.time()))
    works: "set[Work]" = field(default_factory=set)
    """What is being worked on."""

    def __post_init__(self) -> None:
        self.studio = Studio(self.backend, self.painter, self.reader)
        self.gate = Gate(self.settings.concurrency, self.settings.queue, self.settings.max_waiting_bytes)
        self.metrics = Metrics(self.gate)

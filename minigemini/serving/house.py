"""What all routes of one server share."""

import asyncio
import time
from dataclasses import dataclass, field

from .backends import Backend, Painter, Reader
from .gate import Gate
from .metrics import Metrics
from .settings import ServerSettings
from .studio import Studio


@dataclass
class House:
    """A server's parts; the studio is made of them, the gate and the figures from the settings."""

    settings: ServerSettings
    backend: Backend
    painter: Painter | None = None
    reader: Reader | None = None
    created: int = field(default_factory=lambda: int(time.time()))
    works: set[asyncio.Task[None]] = field(default_factory=set)
    """What is being worked on."""

    def __post_init__(self) -> None:
        self.studio = Studio(self.backend, self.painter, self.reader)
        self.gate = Gate(self.settings.concurrency, self.settings.queue)
        self.metrics = Metrics(self.gate)

"""Answers about pictures: an engine that is loaded once, what mining looked at, and what a checkpoint consists of."""

from .engine import Conversation, Engine, Sampling
from .errors import CheckpointError, RequestError
from .quantising import quantization_config
from .streaming import Answer, AnswerStream

__all__ = [
    "Answer",
    "AnswerStream",
    "CheckpointError",
    "Conversation",
    "Engine",
    "RequestError",
    "Sampling",
    "quantization_config",
]

"""Answers about pictures, and pictures in return: an engine and a painter that are loaded once, and conversations."""

from .conversation import Conversation, Reply
from .drawing import Drawing, DrawnPicture
from .engine import Engine, Sampling
from .errors import CheckpointError, RequestError
from .image_generation import Painter
from .quantising import quantization_config
from .streaming import Answer, AnswerStream

__all__ = [
    "Answer",
    "AnswerStream",
    "CheckpointError",
    "Conversation",
    "Drawing",
    "DrawnPicture",
    "Engine",
    "Painter",
    "Reply",
    "RequestError",
    "Sampling",
    "quantization_config",
]

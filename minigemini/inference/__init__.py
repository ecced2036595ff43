"""Answers about pictures: an engine that is loaded once, what mining looked at, and what a checkpoint consists of."""

from minigemini.inference.checkpoint import CheckpointError
from minigemini.inference.engine import Conversation, Engine, Sampling
from minigemini.inference.loading import RequestError
from minigemini.inference.streaming import Answer, AnswerStream

__all__ = ["Answer", "AnswerStream", "CheckpointError", "Conversation", "Engine", "RequestError", "Sampling"]

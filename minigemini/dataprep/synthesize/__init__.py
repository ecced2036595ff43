"""Synthesizes image-generation data: a language model turns descriptions and conversations into captioned requests.

These are the two tasks of the paper (arXiv 2403.18814, section 3.3), for any OpenAI-compatible endpoint.
`synthesis_tasks` has the prompts and parses replies, `endpoint` sends requests, `journal` stores replies, and
`synthesis` runs a job and writes the data.
"""

from .endpoint import Endpoint, EndpointError
from .journal import JournalError
from .synthesis import SynthesisError, SynthesisReport, SynthesisSettings, build_requests, estimate, synthesize
from .synthesis_tasks import SynthesisRequest

__all__ = [
    "Endpoint",
    "EndpointError",
    "JournalError",
    "SynthesisError",
    "SynthesisReport",
    "SynthesisRequest",
    "SynthesisSettings",
    "build_requests",
    "estimate",
    "synthesize",
]

"""Generation data: a strong language model turns descriptions and conversations into requests with captions.

The two tasks of the paper (arXiv 2403.18814, section 3.3), against any OpenAI-compatible endpoint: `tasks` has the
prompts and the format that replies must have, `endpoint` asks, `run` keeps what came back and makes the data of it.
"""

from .endpoint import Endpoint, EndpointError
from .journal import JournalError
from .synthesis import SynthesisError, SynthesisReport, SynthesisSettings, estimate, jobs_of, synthesize
from .synthesis_tasks import SynthesisRequest

__all__ = [
    "Endpoint",
    "EndpointError",
    "JournalError",
    "SynthesisError",
    "SynthesisReport",
    "SynthesisRequest",
    "SynthesisSettings",
    "estimate",
    "jobs_of",
    "synthesize",
]

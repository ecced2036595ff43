"""Name of `minigemini.modeling` in 0.1. It works in 0.2 only."""

import warnings

from .modeling import *  # noqa: F403

warnings.warn("minigemini.model is now minigemini.modeling", DeprecationWarning, stacklevel=2)

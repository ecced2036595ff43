"""Where `NANO_DIR` was in 0.1. It works in 0.2 only."""

import warnings

from .plugins import model_folder

NANO_DIR = model_folder("nano")

warnings.warn("minigemini.nano.NANO_DIR is now minigemini.model_folder('nano')", DeprecationWarning, stacklevel=2)

"""Examining data before it is trained on: what is broken, doubled, or belongs to an evaluation set."""

from .issues import Find, Kind
from .validation import Diagnosis, diagnose

__all__ = ["Diagnosis", "Find", "Kind", "diagnose"]

"""Examining data before it is trained on: what is broken, doubled, or belongs to an evaluation set."""

from .diagnosis import Diagnosis, diagnose
from .finds import Find, Kind

__all__ = ["Diagnosis", "Find", "Kind", "diagnose"]

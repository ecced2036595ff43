"""Examining data before it is trained on: what is broken, doubled, or belongs to an evaluation set."""

from .issues import Issue, IssueKind
from .validation import Validation, validate

__all__ = ["Issue", "IssueKind", "Validation", "validate"]

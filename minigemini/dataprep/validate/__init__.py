"""Validating data before training: invalid records, unreadable or duplicate images, overlap with evaluation sets."""

from .issues import Issue, IssueKind
from .validation import Validation, validate

__all__ = ["Issue", "IssueKind", "Validation", "validate"]

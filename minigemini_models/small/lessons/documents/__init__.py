"""Lessons about documents: one module per kind of document; `sample` makes one up and asks about it."""

from .document_lessons import KINDS, DrawnDocument, render, sample

__all__ = ["KINDS", "DrawnDocument", "render", "sample"]

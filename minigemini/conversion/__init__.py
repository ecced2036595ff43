"""Checkpoints of others into ours: published ones converted, new ones assembled from parts."""

from .assemble import HD, Geometry, assemble
from .convert import convert
from .families import PUBLISHED
from .plan import Report

__all__ = ["HD", "PUBLISHED", "Geometry", "Report", "assemble", "convert"]

"""Checkpoints of others into ours: published ones converted, new ones assembled from parts."""

from .assemble import HD, Geometry, assemble
from .conversion_plan import ConversionReport
from .convert import convert
from .published_models import PUBLISHED

__all__ = ["HD", "PUBLISHED", "ConversionReport", "Geometry", "assemble", "convert"]

"""Create checkpoints: convert published ones, and assemble new ones from a language model and encoders."""

from .assemble import HD, NATIVE, Tiling, assemble
from .conversion_plan import ConversionReport
from .convert import convert
from .published_models import PUBLISHED

__all__ = ["HD", "NATIVE", "PUBLISHED", "ConversionReport", "Tiling", "assemble", "convert"]

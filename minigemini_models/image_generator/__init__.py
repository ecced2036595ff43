"""The embedded painter: a small text-conditioned diffusion model of the drawn world, as a diffusers pipeline."""

from pathlib import Path

GENERATOR_DIR = Path(__file__).parent / "checkpoint"
"""The pipeline's folder, in the ordinary diffusers layout."""

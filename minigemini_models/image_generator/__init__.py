"""The embedded image generator: a small text-to-image diffusion model of synthetic scenes, as a diffusers pipeline."""

from pathlib import Path

GENERATOR_DIR = Path(__file__).parent / "checkpoint"
"""Folder of the pipeline, in the standard diffusers layout."""

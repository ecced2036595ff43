"""The embedded model: an ordinary Transformers checkpoint inside the package."""

from pathlib import Path

NANO_DIR = Path(__file__).parent / "checkpoint"
"""Folder of the checkpoint; `MiniGeminiForConditionalGeneration.from_pretrained(NANO_DIR)` loads it."""

"""The model `small`, registered in the entry points `minigemini.models`."""

from collections.abc import Sequence
from pathlib import Path

from minigemini.io.pulled_models import PulledModel

from .parts import SMOLLM2_GGUF


def _build(shipped: Path, parts: Sequence[Path], folder: Path) -> None:
    from .packing import unpack  # imports torch

    unpack(shipped, parts[0], folder)


SMALL = PulledModel(
    name="small",
    summary="photographs, documents and drawn scenes; SmolLM2-135M with EfficientNet-Lite0 as encoders",
    shipped=Path(__file__).parent / "checkpoint",
    parts=(SMOLLM2_GGUF,),
    build=_build,
)

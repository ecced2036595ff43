"""Strings in pictures, read by rapidocr with the models in its own package: nothing is fetched."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..io.argument_checks import check_number
from ..io.errors import RequestError

CONFIDENCE = 0.1
"""Strings read with less are left out, as the published models were asked."""


class RapidOcrEngine:
    """Reads what is written in pictures.

    Args:
        confidence: least confidence of a string, 0 to 1.

    Raises:
        RequestError: `confidence` is out of its range, or rapidocr is missing.
    """

    def __init__(self, confidence: float = CONFIDENCE) -> None:
        check_number("OCR confidence", confidence, 0, 1)
        self.confidence = confidence
        self._engine = _engine()

    def read(self, image: Image.Image) -> list[str]:
        """The strings in an RGB picture, as they are read, from top to bottom."""
        pixels = np.asarray(image.convert("RGB"))[..., ::-1]  # it takes them as OpenCV does
        result = self._engine(np.ascontiguousarray(pixels))
        strings = zip(result.txts or (), result.scores or (), strict=True)
        return [string for string, score in strings if score > self.confidence]


def _engine() -> Any:
    """One that takes its models from its own package and says nothing."""
    try:
        import rapidocr
    except ImportError:
        raise RequestError("reading text in pictures needs rapidocr: pip install 'minigemini[ocr]'") from None
    import torch

    models = Path(os.fspath(rapidocr.__file__)).parent / "models"
    found = {step: sorted(models.glob(f"*{step.lower()}*.onnx")) for step in ("Det", "Cls", "Rec")}
    if missing := [step for step, files in found.items() if not files]:
        raise RequestError(f"{models}: no model for {', '.join(missing)}; install rapidocr anew")
    threads = torch.get_num_threads()
    return rapidocr.RapidOCR(
        params={
            "Global.log_level": "critical",
            "Global.text_score": 0.0,  # `read` has its own
            "EngineConfig.onnxruntime.intra_op_num_threads": threads,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            **{f"{step}.model_path": str(files[0]) for step, files in found.items()},
        }
    )

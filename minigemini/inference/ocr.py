"""OCR with rapidocr and the models in its own package: nothing is downloaded."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..io.argument_checks import check_number
from ..io.errors import RequestError

CONFIDENCE = 0.1
"""Minimum confidence of OCR text; the value used for the published models."""


class RapidOcrEngine:
    """Reads the text in images.

    Args:
        confidence: Minimum confidence of a line of text, from 0 to 1.

    Raises:
        RequestError: `confidence` is out of range, or rapidocr is not installed.
    """

    def __init__(self, confidence: float = CONFIDENCE) -> None:
        check_number("OCR confidence", confidence, 0, 1)
        self.confidence = confidence
        self._engine = _load_rapidocr()

    def read(self, image: Image.Image) -> list[str]:
        """Return the lines of text in an RGB image, from top to bottom."""
        pixels = np.asarray(image.convert("RGB"))[..., ::-1]  # BGR, as OpenCV has it
        result = self._engine(np.ascontiguousarray(pixels))
        lines = zip(result.txts or (), result.scores or (), strict=True)
        return [text for text, score in lines if score > self.confidence]


def _load_rapidocr() -> Any:
    """Load rapidocr with the models in its package and without logging."""
    try:
        import rapidocr
    except ImportError:
        raise RequestError("reading text in images needs rapidocr: pip install 'minigemini[ocr]'") from None
    import torch

    models = Path(os.fspath(rapidocr.__file__)).parent / "models"
    models_per_step = {step: sorted(models.glob(f"*{step.lower()}*.onnx")) for step in ("Det", "Cls", "Rec")}
    if missing := [step for step, files in models_per_step.items() if not files]:
        raise RequestError(f"{models}: no model for {', '.join(missing)}; reinstall rapidocr")
    threads = torch.get_num_threads()
    return rapidocr.RapidOCR(
        params={
            "Global.log_level": "critical",
            "Global.text_score": 0.0,  # `read` filters by confidence
            "EngineConfig.onnxruntime.intra_op_num_threads": threads,
            "EngineConfig.onnxruntime.inter_op_num_threads": 1,
            **{f"{step}.model_path": str(files[0]) for step, files in models_per_step.items()},
        }
    )

"""OCR with rapidocr and the models in its own package: nothing is downloaded."""

import hashlib
import os
import sys
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image

from ..io.argument_checks import check_number
from ..io.errors import RequestError
from .text_boxes import TextBox
from .text_layout import layout_rows

CONFIDENCE = {"reference": 0.1, "layout": 0.5}
"""Minimum confidence of OCR text in each of `OCR_FORMATS`; 0.1 is the value used for the published models."""
CHARACTER_CONFIDENCE = 0.95
"""Minimum confidence of a single character in a layout: textures of photographs are often read as one character, with
up to 0.9 in those tried, while printed digits have 0.99."""
MAX_SIDE_PX = 1536
"""Larger images are scaled down for a layout, which bounds the time to 2 s of one core."""
LAYOUT_SETTINGS = {"Det.box_thresh": 0.3, "Cls.cls_thresh": 0.99}
"""Thresholds of rapidocr for layouts. Its defaults, 0.5 and 0.9, drop single digits of charts, and turn short strings
upside down (with up to 0.97 in those tried; axis titles, which do have to be turned, have 0.9999)."""
ASCII_FORMS = {full: full - 0xFEE0 for full in range(0xFF01, 0xFF5F)} | {ord("℃"): "°C", ord("℉"): "°F"}
"""Forms that the recognizer, which was trained on Chinese as well, writes in place of those that print has."""
READINGS_KEPT = 64
"""Images whose text is kept, so that each turn of a conversation reads new images alone."""
MISSING = "reading text in images needs rapidocr: pip install 'minigemini[ocr]'"


class RapidOcrEngine:
    """Reads the text in images.

    Args:
        confidence: Minimum confidence of a line of text, from 0 to 1. Default: that of the format in `CONFIDENCE`.
        ocr_format: One of `OCR_FORMATS`: what `read` returns.

    Raises:
        RequestError: `confidence` is out of range, or rapidocr is not installed.
    """

    def __init__(self, confidence: float | None = None, ocr_format: str = "reference") -> None:
        self.confidence = CONFIDENCE[ocr_format] if confidence is None else confidence
        check_number("OCR confidence", self.confidence, 0, 1)
        self.ocr_format = ocr_format
        self._engine = _load_rapidocr(LAYOUT_SETTINGS if ocr_format == "layout" else {})
        self._readings: OrderedDict[bytes, tuple[str, ...]] = OrderedDict()

    def read(self, image: Image.Image) -> list[str]:
        """Return the text in an RGB image: its strings from top to bottom, or the lines of its layout."""
        digest = hashlib.sha256(f"{self.confidence} {image.mode} {image.size} ".encode())
        digest.update(image.tobytes())
        key = digest.digest()
        # Without a lock: threads that read the same image at once have the same result.
        reading = self._readings.pop(key, None)
        if reading is None:
            reading = tuple(self._strings(image))
        self._readings[key] = reading
        while len(self._readings) > READINGS_KEPT:
            self._readings.popitem(last=False)
        return list(reading)

    def _strings(self, image: Image.Image) -> list[str]:
        if self.ocr_format == "layout":
            return layout_rows(self.read_boxes(image))
        return [text for text, _, _ in self._read(image) if text]

    def read_boxes(self, image: Image.Image) -> list[TextBox]:
        """Return the strings in an RGB image with their places. Images above `MAX_SIDE_PX` are scaled down first."""
        scaled = image.copy()
        scaled.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX))
        boxes = []
        for text, confidence, corners in self._read(scaled):
            (left, top), (right, bottom) = corners.min(0) / scaled.size, corners.max(0) / scaled.size
            if len(text) > 1 or confidence >= CHARACTER_CONFIDENCE:
                boxes.append(TextBox(text.translate(ASCII_FORMS), float(left), float(top), float(right), float(bottom)))
        return boxes

    def _read(self, image: Image.Image) -> list[tuple[str, float, np.ndarray]]:
        """Texts, their confidences, and the (4, 2) corners of their boxes in pixels."""
        pixels = np.asarray(image.convert("RGB"))[..., ::-1]  # BGR, as OpenCV has it
        result = self._engine(np.ascontiguousarray(pixels))
        if result.boxes is None:
            return []
        found = zip(result.txts, map(float, result.scores), result.boxes, strict=True)
        return [(text, score, corners) for text, score, corners in found if score > self.confidence]


class Reader(Protocol):
    """Reads the text in images, as `RapidOcrEngine` does."""

    def read(self, image: Image.Image) -> Sequence[str]:
        """Return the texts in an image."""
        ...


def read_user_turns(
    messages: Sequence[Mapping[str, Any]], reader: Reader, before_image: Callable[[], object] = lambda: None
) -> list[list[str]]:
    """Return the texts in the images of each user turn, in the format of the processor's `ocr`.

    Args:
        messages: With opened images.
        reader: Reads them.
        before_image: Called before each image; an exception from it stops reading.
    """
    turns = []
    for message in messages:
        if message["role"] == "user":
            content = message["content"]
            texts: list[str] = []
            for part in [] if isinstance(content, str) else content:
                if part["type"] == "image":
                    before_image()
                    texts += reader.read(part["image"])
            turns.append(texts)
    return turns


def check_rapidocr() -> None:
    """Raise a `RequestError` if rapidocr is not installed. Imports nothing."""
    if not _is_installed():
        raise RequestError(MISSING)


def choose_reader(ocr: bool | None, ocr_format: str, confidence: float | None = None) -> RapidOcrEngine | None:
    """Return the OCR engine for a model, or None if its images are not to be read.

    Args:
        ocr: Whether to read images. None reads them if the model was trained with layouts and rapidocr is installed; if
            it is not, a line on stderr says so, once per process.
        ocr_format: The `ocr_format` of the model's processor.
        confidence: Minimum confidence of text. Default: that of the format.

    Raises:
        RequestError: `ocr` is True and rapidocr is not installed, or `confidence` is out of range.
    """
    if ocr is None and ocr_format == "layout" and not _is_installed():
        _tell_missing()
    return RapidOcrEngine(confidence, ocr_format) if is_read(ocr, ocr_format) else None


def is_read(ocr: bool | None, ocr_format: str) -> bool:
    """Whether `choose_reader` returns an engine for these arguments."""
    return ocr_format == "layout" and _is_installed() if ocr is None else ocr


def _is_installed() -> bool:
    """Whether rapidocr can be imported. Imports nothing."""
    try:
        return all(find_spec(name) is not None for name in ("rapidocr", "onnxruntime"))
    except ValueError:  # `sys.modules` has None in its place
        return False


@cache
def _tell_missing() -> None:
    """Say once that text is not read."""
    print(f"minigemini: {MISSING}; answering from the image alone", file=sys.stderr)


def _load_rapidocr(settings: Mapping[str, float]) -> Any:
    """Load rapidocr with the models in its package, without logging, and with these of its settings."""
    try:
        import rapidocr
    except ImportError:
        raise RequestError(MISSING) from None
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
            **settings,
            **{f"{step}.model_path": str(files[0]) for step, files in models_per_step.items()},
        }
    )

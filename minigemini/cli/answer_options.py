"""How to answer: options shared by every verb that asks a model."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from .common import Ocr, OcrConfidence, check_ocr

if TYPE_CHECKING:
    from ..inference import Sampling
    from ..inference.ocr import RapidOcrEngine
    from ..modeling import MiniGeminiProcessor


@dataclass(frozen=True)
class AnswerOptions:
    """Sampling and text recognition; `Sampling` and `RapidOcrEngine` document the options."""

    ocr: Ocr = None
    ocr_confidence: OcrConfidence = None
    max_new_tokens: Annotated[int, typer.Option("--max-new-tokens", help="Maximum length of an answer, tokens.")] = 256
    temperature: Annotated[
        float, typer.Option("--temperature", help="Sampling temperature; 0 always takes the most likely token.")
    ] = 0.0
    seed: Annotated[
        int | None, typer.Option("--seed", help="Random seed; makes sampled answers and images reproducible.")
    ] = None

    def sampling(self) -> "Sampling":
        """Return the settings of sampling. Raises `RequestError` for values out of range."""
        from ..inference import Sampling

        return Sampling(max_new_tokens=self.max_new_tokens, temperature=self.temperature, seed=self.seed)

    def check_ocr(self) -> None:
        """Check the options of OCR before any model is loaded. Raises `RequestError`."""
        check_ocr(self.ocr, self.ocr_confidence)

    def reader(self, processor: "MiniGeminiProcessor") -> "RapidOcrEngine | None":
        """Return the OCR engine for a model, or None if its images are not to be read; see `choose_reader`."""
        from ..inference.ocr import choose_reader

        return choose_reader(self.ocr, processor.ocr_format, self.ocr_confidence)

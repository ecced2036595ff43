"""How to answer: options shared by every verb that asks a model."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from .common import Ocr, OcrConfidence

if TYPE_CHECKING:
    from ..inference import Sampling
    from ..inference.ocr import RapidOcrEngine


@dataclass(frozen=True)
class AnswerOptions:
    """Sampling and text recognition; `Sampling` and `RapidOcrEngine` document the options."""

    ocr: Ocr = False
    ocr_confidence: OcrConfidence = 0.1
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

    def ocr_engine(self) -> "RapidOcrEngine | None":
        """Return the OCR engine; None without --ocr. Raises `RequestError` if RapidOCR is not installed."""
        from ..inference.ocr import RapidOcrEngine

        return RapidOcrEngine(self.ocr_confidence) if self.ocr else None

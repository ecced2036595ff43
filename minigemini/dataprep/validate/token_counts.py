"""How many tokens a sample takes with one family's template and tokenizer, without decoding its pictures."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from jinja2.exceptions import TemplateError

from ...data.schema import Sample

if TYPE_CHECKING:
    from ...modeling import MiniGeminiProcessor


class TemplateTokens:
    """Counts by a processor: its chat template, its tokenizer, its tokens per picture.

    Args:
        processor: of the family.
    """

    def __init__(self, processor: "MiniGeminiProcessor") -> None:
        self.processor = processor
        self._control_tokens = processor.control_tokens()

    def __call__(self, samples: Sequence[Sample]) -> list[int | str]:
        texts: list[str | None] = []
        counts: list[int | str] = []
        for sample in samples:
            try:
                texts.append(self.processor.apply_chat_template(list(sample.messages), tokenize=False))
                counts.append(0)
            except TemplateError as error:
                counts.append(str(error))
        lengths = iter(self._lengths([text for text in texts if text is not None]))
        more = self.processor.num_image_tokens - 1
        return [
            next(lengths) + more * len(sample.images) if isinstance(count, int) else count
            for sample, count in zip(samples, counts, strict=True)
        ]

    def control_tokens(self, text: str) -> list[str]:
        return self._control_tokens.find(text)

    def _lengths(self, texts: list[str]) -> list[int]:
        if not texts:
            return []
        tokenizer = self.processor.tokenizer
        # As Transformers tokenises a rendered template: one that begins with BOS gets no other.
        special = not (tokenizer.bos_token and texts[0].startswith(tokenizer.bos_token))
        return [len(ids) for ids in tokenizer(texts, add_special_tokens=special)["input_ids"]]

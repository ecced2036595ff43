"""Checkpoint files besides weights: config, tokenizer, processor with chat template, generation config, model card."""

from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer, GenerationConfig, PreTrainedTokenizerBase

from ..io.checkpoint_settings import check_generation
from ..io.errors import CheckpointError, one_line
from ..io.loading import load_processor
from ..modeling import MiniGeminiConfig, MiniGeminiForConditionalGeneration, MiniGeminiProcessor
from ..modeling.chat_templates import CHAT_TEMPLATES, END_TOKENS
from ..modeling.image_token import add_image_token
from ..modeling.tokenizer_limits import check_growth


@dataclass(frozen=True)
class CompanionFiles:
    """Everything in a checkpoint but the weights.

    Args:
        config: Config of the model, with the image token of the tokenizer.
        tokenizer: Tokenizer that has the image token.
        chat_format: A name in `CHAT_TEMPLATES`.
        do_pad: Whether images are padded to a square, as everywhere but in stage 1.
        card: Text of README.md.
    """

    config: MiniGeminiConfig
    tokenizer: PreTrainedTokenizerBase
    chat_format: str
    do_pad: bool
    card: str

    def write(self, folder: Path, dtype: torch.dtype) -> None:
        """Write the files into a folder, and check that the processor loads."""
        self.config.dtype = dtype
        self.config.architectures = [MiniGeminiForConditionalGeneration.__name__]
        try:
            self.config.save_pretrained(folder)
            MiniGeminiProcessor.from_config(
                self.config, self.tokenizer, chat_template=CHAT_TEMPLATES[self.chat_format], do_pad=self.do_pad
            ).save_pretrained(folder)
            generation = generation_config(self.config, self.tokenizer, self.chat_format)
            check_generation(generation, self.config, "the language model")
            generation.save_pretrained(folder)
        except (CheckpointError, OSError):
            raise
        except Exception as error:  # noqa: BLE001 (a value of a wrong type fails wherever it is first used)
            raise CheckpointError(
                f"config or tokenizer cannot be saved again ({one_line(error)}); copy or download the source again"
            ) from None
        (folder / "README.md").write_text(self.card, encoding="utf-8")
        load_processor(folder, self.config)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Load a language model's tokenizer; add the image token, and a padding token if it has none.

    Raises:
        CheckpointError: The tokenizer is missing or corrupt, or a library to read it is missing.
    """
    if not any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model", "vocab.json")):
        raise CheckpointError(
            f"{folder}: no tokenizer in it (tokenizer.json or tokenizer.model); copy or download it again"
        )
    if not (folder / "tokenizer.json").is_file() and (folder / "tokenizer.model").is_file():
        _require_sentencepiece(folder)
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        check_growth(tokenizer)
        add_image_token(tokenizer)
    except Exception as error:  # noqa: BLE001 (tokenizers raises plain Exception on a broken file)
        raise CheckpointError(
            f"{folder}: the tokenizer cannot be loaded ({one_line(error)}); copy or download it again"
        ) from None
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.unk_token or tokenizer.eos_token
    tokenizer.padding_side = "left"  # required by `generate`; collators set their own
    tokenizer.chat_template = None  # text only; the processor has a template with images
    return tokenizer


def generation_config(
    config: MiniGeminiConfig, tokenizer: PreTrainedTokenizerBase, chat_format: str
) -> GenerationConfig:
    """Return a greedy config that stops at the language model's end tokens and those of the chat format."""
    own: Any = config.text_config.eos_token_id
    vocabulary = tokenizer.get_vocab()
    ends = [*(own if isinstance(own, list) else [own]), tokenizer.eos_token_id]
    ends += [vocabulary[token] for token in END_TOKENS[chat_format] if token in vocabulary]
    unique = list(dict.fromkeys(end for end in ends if end is not None))
    return GenerationConfig(
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=unique[0] if len(unique) == 1 else unique,
        pad_token_id=tokenizer.pad_token_id,
    )


def _require_sentencepiece(folder: Path) -> None:
    if find_spec("sentencepiece") is None or find_spec("google.protobuf") is None:
        raise CheckpointError(
            f"{folder}: reading its tokenizer.model needs two libraries: pip install 'minigemini[convert]'"
        )

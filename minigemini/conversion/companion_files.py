"""What a checkpoint holds besides weights: config, tokenizer, processor with chat template, generation config, card."""

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
    """Everything but the weights.

    Args:
        config: of the model; its image token is the tokenizer's.
        tokenizer: with the image token.
        chat_format: a name in `CHAT_TEMPLATES`.
        do_pad: whether pictures are padded to a square, as everywhere but in stage 1.
        card: the text of README.md.
    """

    config: MiniGeminiConfig
    tokenizer: PreTrainedTokenizerBase
    chat_format: str
    do_pad: bool
    card: str

    def write(self, folder: Path, dtype: torch.dtype) -> None:
        """Write it into a folder, and read it back."""
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
                f"config or tokenizer cannot be saved again ({one_line(error)}); copy or fetch the source again"
            ) from None
        (folder / "README.md").write_text(self.card, encoding="utf-8")
        load_processor(folder, self.config)


def load_tokenizer(folder: Path) -> PreTrainedTokenizerBase:
    """Load a language model's tokenizer, and give it the image token and a padding token if it has none.

    Raises:
        CheckpointError: It is missing or broken, or a library to read it is missing.
    """
    if not any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model", "vocab.json")):
        raise CheckpointError(
            f"{folder}: no tokenizer in it (tokenizer.json or tokenizer.model); copy or fetch it again"
        )
    if not (folder / "tokenizer.json").is_file() and (folder / "tokenizer.model").is_file():
        _require_sentencepiece(folder)
    try:
        tokenizer: Any = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        check_growth(tokenizer)
        add_image_token(tokenizer)
    except Exception as error:  # noqa: BLE001 (tokenizers raises plain Exception on a broken file)
        raise CheckpointError(
            f"{folder}: the tokenizer cannot be loaded ({one_line(error)}); copy or fetch it again"
        ) from None
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.unk_token or tokenizer.eos_token
    tokenizer.padding_side = "left"  # as `generate` needs it; a collator pads as it likes
    tokenizer.chat_template = None  # of the language model alone; the processor has the one with pictures
    return tokenizer


def generation_config(
    config: MiniGeminiConfig, tokenizer: PreTrainedTokenizerBase, chat_format: str
) -> GenerationConfig:
    """Greedy, ending at the end of a turn: the language model's own end tokens, and those of the chat format."""
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
            f"{folder}: to read its tokenizer.model install two libraries: pip install 'minigemini[convert]'"
        )

"""Nano's tokenizer: byte-level BPE trained on synthetic conversations, with single capitals and digits."""

from collections.abc import Iterator
from functools import cache

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from ..samples.dialogs import PAIR_KINDS, sample_dialog
from ..scenes.composition import KINDS as SCENE_KINDS
from ..scenes.documents import PAGE_KINDS

KINDS = (*SCENE_KINDS, *PAGE_KINDS, *PAIR_KINDS, "single", "few", "single")

BOS, EOS, PAD, IMAGE, USER, ASSISTANT = "<bos>", "<eos>", "<pad>", "<image>", "<|user|>", "<|assistant|>"
VOCAB_SIZE = 2048
_DIALOGS = 6000


def build_tokenizer() -> PreTrainedTokenizerFast:
    """Train the tokenizer; the result is deterministic.

    Capitals and digits are never merged, so that text on signs is spelled character by character. Other text falls back
    to bytes.
    """
    return PreTrainedTokenizerFast(
        tokenizer_object=_train_tokenizer(),
        bos_token=BOS,
        eos_token=EOS,
        pad_token=PAD,
        additional_special_tokens=[IMAGE, USER, ASSISTANT],
        model_max_length=1024,
        clean_up_tokenization_spaces=False,
    )


@cache
def _train_tokenizer() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex("[A-Z0-9]"), behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=VOCAB_SIZE,
        special_tokens=[PAD, BOS, EOS, IMAGE, USER, ASSISTANT],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(_texts(), trainer)
    return tokenizer


def _texts() -> Iterator[str]:
    for seed in range(_DIALOGS):
        for turn in sample_dialog(seed, KINDS[seed % len(KINDS)]).turns:
            yield from (turn.question, turn.answer)

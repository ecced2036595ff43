"""Streamed text is that of all tokens decoded at once, and a token costs the same however long the answer is."""

import random

import pytest
from tokenizers import Tokenizer, decoders, models
from transformers import PreTrainedTokenizerFast

from minigemini.inference.incremental_decoding import KEPT_TOKENS, IncrementalDecoder

WORDS = ["▁", "▁the", "▁a", "s", "ing", "é", "▁▁", ".", "▁日", "本", "\n", "x", "`", "<h>"]
PIECES = ["the", "##s", "##ing", "a", "dog", ".", ",", "'", "é", "[CLS]"]


def llama() -> PreTrainedTokenizerFast:
    """A space before each word, and bytes for what the vocabulary lacks, as in Llama 2."""
    vocabulary = {token: n for n, token in enumerate([*WORDS, *(f"<0x{byte:02X}>" for byte in range(256))])}
    fast = Tokenizer(models.BPE(vocabulary, [], byte_fallback=True))
    steps = [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(), decoders.Strip(" ", 1, 0)]
    fast.decoder = decoders.Sequence(steps)
    return PreTrainedTokenizerFast(tokenizer_object=fast)


def metaspace() -> PreTrainedTokenizerFast:
    fast = Tokenizer(models.BPE({token: n for n, token in enumerate(WORDS)}, []))
    fast.decoder = decoders.Metaspace()
    return PreTrainedTokenizerFast(tokenizer_object=fast)


def wordpiece() -> PreTrainedTokenizerFast:
    fast = Tokenizer(models.WordPiece({token: n for n, token in enumerate([*PIECES, "[UNK]"])}, unk_token="[UNK]"))
    fast.decoder = decoders.WordPiece(cleanup=False)
    return PreTrainedTokenizerFast(tokenizer_object=fast, additional_special_tokens=["[CLS]"])


def characters(text: str, first_byte: int, length: int, rng: random.Random) -> list[int]:
    """Ids of a random text: tokens for bytes of whole characters, mixed with other tokens.

    Bytes of an incomplete character would make those before them, which were shown, no characters either.
    """
    ids: list[int] = []
    while len(ids) < length:
        if rng.random() < 0.5:
            ids += [first_byte + byte for byte in rng.choice(text).encode()]
        else:
            ids.append(rng.randrange(first_byte))
    return ids


@pytest.fixture
def decode(tokenizer):
    """Decode with a tokenizer by its kind, and count the decoded tokens."""
    made = {"bytes": lambda: tokenizer, "llama": llama, "metaspace": metaspace, "wordpiece": wordpiece}
    counts = [0]

    def of(kind: str):
        used = made[kind]()

        def count_and_decode(ids: list[int]) -> str:
            counts[0] += len(ids)
            return used.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)

        return count_and_decode, used

    return of, counts


@pytest.mark.parametrize("kind", ["bytes", "llama", "metaspace", "wordpiece"])
def test_pieces_join_to_the_text_of_all_tokens(decode, kind):
    of, counts = decode
    decoded, used = of(kind)
    rng = random.Random(0)
    for number in range(200):
        length = rng.randint(0, 300)
        if kind == "llama":  # bytes that are no character make one of those before them in the same run none either
            ids = characters("日本語é😀 ", len(WORDS), length, rng)
        else:
            ids = [rng.randrange(len(used)) for _ in range(length)]
        before = [rng.randrange(len(WORDS) - 5)] if kind != "bytes" and number % 2 else []
        decoder = IncrementalDecoder(decoded, before)
        pieces = [decoder.feed([token]) for token in ids] + [decoder.close()]
        whole = decoded(before + ids)[len(decoded(before)) :]
        assert "".join(pieces) == whole
    assert counts[0]


@pytest.mark.parametrize("kind", ["bytes", "llama", "metaspace", "wordpiece"])
def test_a_token_costs_the_same_however_long_the_answer_is(decode, kind):
    of, counts = decode
    decoded, used = of(kind)
    rng = random.Random(0)
    decoder = IncrementalDecoder(decoded)
    for _ in range(3000):
        decoder.feed([rng.randrange(len(used) - 1)])
    assert counts[0] < 3 * KEPT_TOKENS * 3000  # all tokens each time would be 1500 * 3000


def test_bytes_that_never_become_characters_are_shown(decode):
    of, counts = decode
    decoded, used = of("bytes")
    half = used.encode("é", add_special_tokens=False)[1]  # no character begins with it
    decoder = IncrementalDecoder(decoded)
    shown = "".join(decoder.feed([half]) for _ in range(1000))
    assert 990 < len(shown) < 1000
    assert len(shown + decoder.close()) == 1000
    assert counts[0] < 3 * KEPT_TOKENS * 1000

"""Packed samples have the same logits, loss and gradients as separate ones."""

import itertools
import pickle
import random

import pytest
import torch
from torch import Tensor

from minigemini.data.encoding import IGNORED, Encoded, SampleEncoder
from minigemini.data.packing import PackedCollator, PaddedCollator, pack, pack_rows
from minigemini.data.schema import Sample

TEXTS = {
    "llama": {},
    "gemma": {"model_type": "gemma", "head_dim": 8, "hidden_activation": "gelu_pytorch_tanh"},
    "mixtral": {"model_type": "mixtral", "num_local_experts": 4, "num_experts_per_tok": 2},
    "mixtral, sliding": {"model_type": "mixtral", "num_local_experts": 4, "sliding_window": 9},
}
TILINGS = {"normal": {}, "hd": {"grid_size": 2, "use_global_tile": True, "high_res_size": 64}}
PAD = 0


@pytest.fixture
def samples(make_processor, image, tmp_path):
    """Encode samples of several lengths with no, one or two images each."""

    def make(config, images=(1, 0, 2, 1, 0)) -> list[Encoded]:
        encoder = SampleEncoder(make_processor(config))
        encoded = []
        for number, count in enumerate(images):
            paths = [tmp_path / f"{number}.{n}.png" for n in range(count)]
            for n, path in enumerate(paths):
                image(10 * number + n).save(path)
            parts = [{"type": "image"}] * count + [{"type": "text", "text": "Why? " * number + "?"}]
            messages = (
                {"role": "user", "content": parts},
                {"role": "assistant", "content": [{"type": "text", "text": "Because. "[: 3 + 2 * number]}]},
            )
            encoded.append(encoder(Sample(str(number), "s", messages, tuple(paths))))
        return encoded

    return make


def alone(sample: Encoded) -> dict[str, Tensor]:
    return {"input_ids": sample.input_ids[None], "labels": sample.labels[None], **sample.pixels}


def without(batch, *names):
    return {name: value for name, value in batch.items() if name not in names}


def gradients(model) -> dict[str, Tensor]:
    found = {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}
    model.zero_grad()
    return found


def worst(ours: Tensor, theirs: Tensor) -> float:
    assert ours.shape == theirs.shape
    return float((ours.detach() - theirs.detach()).abs().max())


@pytest.mark.parametrize("attention", ["sdpa", "eager"])
@pytest.mark.parametrize("tiling", TILINGS)
@pytest.mark.parametrize("text", TEXTS)
def test_packed_equals_unpacked(text, tiling, attention, make_model, samples):
    model = make_model(text_config=TEXTS[text], **TILINGS[tiling])
    model.model.language_model.set_attn_implementation(attention)
    encoded = samples(model.config)
    rows = [[encoded[2], encoded[0], encoded[4]], [encoded[1], encoded[3]]]  # the second row is padded
    batch = pack_rows(rows, PAD)
    logits = model(**without(batch, "labels"), use_cache=False).logits
    for row, group in enumerate(rows):
        ends = list(itertools.accumulate(map(len, group)))
        for sample, end in zip(group, ends, strict=True):
            theirs = model(**without(alone(sample), "labels")).logits[0]
            assert worst(logits[row, end - len(sample) : end], theirs) < 3e-5  # of about 4; worst measured 5.3e-6
    loss = model(**batch, return_logits=False).loss
    loss.backward()
    ours = gradients(model)
    items = sum(int((sample.labels != IGNORED).sum()) for sample in encoded)
    expected = sum(model(**alone(sample), num_items_in_batch=items).loss for sample in encoded)
    expected.backward()
    theirs = gradients(model)
    assert worst(loss, expected) < 5e-6  # of about 6; worst measured 4.8e-7
    assert ours.keys() == theirs.keys()
    assert any("patch_info_mining" in name for name in ours)
    for name, gradient in ours.items():
        largest = max(1, float(theirs[name].abs().max()))
        assert worst(gradient, theirs[name]) < 2e-5 * largest, name  # worst measured 3.6e-6


@pytest.mark.parametrize("text", ["llama", "mixtral, sliding"])
def test_flex_attention_equals_eager(text, make_model, samples):
    model = make_model(text_config=TEXTS[text])
    batch = pack_rows([samples(model.config)], PAD)
    with torch.no_grad():
        theirs = model(**batch).logits
        model.model.language_model.set_attn_implementation("flex_attention")
        assert worst(model(**batch).logits, theirs) < 5e-5


def test_padded_equals_unpacked(make_model, samples):
    model = make_model()
    encoded = samples(model.config)
    batch = PaddedCollator(PAD)(encoded)
    longest = max(map(len, encoded))
    assert {name: tuple(batch[name].shape) for name in ("input_ids", "labels", "attention_mask")} == dict.fromkeys(
        ("input_ids", "labels", "attention_mask"), (5, longest)
    )
    items = sum(int((sample.labels != IGNORED).sum()) for sample in encoded)
    expected = sum(model(**alone(sample), num_items_in_batch=items).loss for sample in encoded)
    assert worst(model(**batch).loss, expected) < 1e-5
    assert worst(model(**PackedCollator(longest, PAD)(encoded)).loss, expected) < 1e-5


def test_a_cache_would_attend_across_packed_samples(tiny_model, samples):
    """Why the model creates no cache with labels: Transformers would silently attend across samples."""
    first, second = samples(tiny_model.config, (1, 1))
    batch = pack_rows([[first, second]], PAD)
    theirs = tiny_model(**without(alone(second), "labels")).logits[0]
    assert worst(tiny_model(**batch).logits[0, len(first) :], theirs) < 5e-5
    assert worst(tiny_model(**batch, use_cache=True).logits[0, len(first) :], theirs) > 0.1


def toy(length: int, image: int | None = None) -> Encoded:
    pixels = {} if image is None else {"pixel_values": torch.full((1, 3, 2, 2), image)}
    return Encoded(torch.arange(length) + 10, torch.full((length,), length), pixels)


def test_contents_of_a_packed_batch():
    batch = pack_rows([[toy(2, 5), toy(1)], [toy(4, 6)]], PAD, cu_seq_lens=True)
    assert batch["input_ids"].tolist() == [[10, 11, 10, PAD], [10, 11, 12, 13]]
    assert batch["labels"].tolist() == [[2, 2, 1, IGNORED], [4] * 4]
    assert batch["position_ids"].tolist() == [[0, 1, 0, 0], [0, 1, 2, 3]]
    assert batch["pixel_values"][:, 0, 0, 0].tolist() == [5, 6]
    for side in "qk":
        assert batch[f"cu_seq_lens_{side}"].tolist() == [0, 2, 3, 4, 8]
        assert batch[f"cu_seq_lens_{side}"].dtype == torch.int32
        assert batch[f"max_length_{side}"] == 4
    assert "attention_mask" not in batch


def test_flash_arguments_match_transformers(make_model, samples):
    """Transformers derives them for one row, in `prepare_fa_kwargs_from_position_ids`."""
    from transformers.modeling_flash_attention_utils import prepare_fa_kwargs_from_position_ids

    batch = pack_rows([samples(make_model().config)], PAD, cu_seq_lens=True)
    (ends, _), (longest, _) = prepare_fa_kwargs_from_position_ids(batch["position_ids"])
    assert torch.equal(batch["cu_seq_lens_q"], ends)
    assert batch["max_length_q"] == int(longest)


def test_empty_batch_has_no_gradient(make_model):
    model = make_model()
    for collator in (PackedCollator(100, PAD), PaddedCollator(PAD), PackedCollator(100, PAD, cu_seq_lens=True)):
        batch = pickle.loads(pickle.dumps(collator))([])
        loss = model(**without(batch, "cu_seq_lens_q", "cu_seq_lens_k", "max_length_q", "max_length_k")).loss
        loss.backward()
        assert loss.item() == 0
        assert all(not gradient.any() for gradient in gradients(model).values())


def test_packing_fills_few_rows_evenly():
    rng = random.Random(0)
    shares = []
    for _ in range(300):
        lengths = [rng.randint(1, 100) for _ in range(rng.randint(0, 40))]
        rows = pack(lengths, 300)
        assert sorted(n for row in rows for n in row) == list(range(len(lengths)))
        assert rows == pack(lengths, 300) == sorted(sorted(row) for row in rows)
        filled = [sum(lengths[n] for n in row) for row in rows]
        assert max(filled, default=0) <= 300
        assert len(rows) <= sum(lengths) // 250 + 1
        if len(lengths) >= 16:
            shares.append(sum(lengths) / (len(rows) * max(filled)))
    assert sum(shares) / len(shares) > 0.97  # measured 0.982


def test_packing_weighs_padding_against_attention():
    lengths = [550, 300, 250, 200, 150, 100, 100, 50]

    def shape(width: int | None) -> tuple[int, int]:
        rows = pack(lengths, 2048, width)
        assert sorted(n for row in rows for n in row) == list(range(len(lengths)))
        return len(rows), max(sum(lengths[n] for n in row) for row in rows)

    assert shape(None) == (1, 1700)
    # Rows times length times (length + 6 widths), in millions: 7.30 for 3 rows, 7.32 for 2, 8.77 for 1, 8.81 for 4.
    assert shape(576) == (3, 600)
    assert shape(4096) == (2, 850), "two rows need no padding, three a twentieth"
    assert shape(1) == (3, 600)


def test_sample_longer_than_a_row_is_refused():
    with pytest.raises(ValueError, match="sample of 101 tokens exceeds row_length=100"):
        pack([3, 101], 100)

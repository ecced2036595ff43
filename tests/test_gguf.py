"""GGUF files: values by the format's formulas and by the package `gguf`, and files that are not what they claim."""

import struct
from pathlib import Path

import numpy as np
import pytest
from gguf_files import F32, METADATA, Q4_1, Q8_0, TOKENS, random_blocks, write_gguf, write_language_model

from minigemini.conversion.gguf import read_gguf
from minigemini.io.errors import CheckpointError
from minigemini_models.small.smollm2 import smollm2_config, smollm2_tokenizer, smollm2_weights


@pytest.fixture(scope="module")
def language_model(tmp_path_factory):
    return write_language_model(tmp_path_factory.mktemp("gguf") / "tiny.gguf")


def by_formula(kind: int, data: bytes) -> list[float]:
    """Dequantize weight by weight."""
    if kind == F32:
        return [value for (value,) in struct.iter_unpack("<f", data)]
    values = []
    for block in range(0, len(data), 34 if kind == Q8_0 else 20):
        if kind == Q8_0:
            scale, *q = struct.unpack_from("<e32b", data, block)
            values += [scale * one for one in q]
        else:
            scale, minimum, *q = struct.unpack_from("<ee16B", data, block)
            values += [scale * one + minimum for one in [*(b % 16 for b in q), *(b // 16 for b in q)]]
    return values


def load_all(path: Path) -> None:
    for tensor in read_gguf(path).tensors.values():
        tensor.load()


@pytest.mark.parametrize("kind", [F32, Q4_1, Q8_0])
def test_values_follow_the_formulas(kind, tmp_path):
    data = random_blocks(7, kind, (3, 64))
    found = read_gguf(write_gguf(tmp_path / "x.gguf", {"a": 1}, {"w": (kind, (3, 64), data)})).tensors["w"].load()
    assert (found.shape, found.dtype) == ((3, 64), np.float32)
    # Float32 has 24 bits; a product of a float16 and 8 bits needs 19, and a sum one rounding.
    np.testing.assert_allclose(found.reshape(-1), by_formula(kind, data), rtol=0, atol=1e-7)


def test_metadata_and_values_are_those_of_the_package_gguf(language_model):
    gguf = pytest.importorskip("gguf")
    theirs, ours = gguf.GGUFReader(language_model), read_gguf(language_model)
    assert ours.metadata == {key: theirs.fields[key].contents() for key in METADATA}
    assert [tensor.name for tensor in theirs.tensors] == list(ours.tensors)
    for tensor in theirs.tensors:
        values = gguf.quants.dequantize(tensor.data, tensor.tensor_type)
        assert np.array_equal(values.reshape(-1), ours.tensors[tensor.name].load().reshape(-1)), tensor.name


def test_a_damaged_file_is_one_line(language_model, tmp_path):
    whole, path = language_model.read_bytes(), tmp_path / "cut.gguf"
    for length in (0, 3, 11, 20, 100, 2000, 6000, len(whole) - 5000):
        path.write_bytes(whole[:length])
        with pytest.raises(CheckpointError, match="get") as caught:
            load_all(path)
        assert "\n" not in str(caught.value)
    for change in (
        (0, b"GGML"),
        (4, struct.pack("<I", 2)),
        (24, struct.pack("<Q", 2**60)),
        (8, struct.pack("<Q", 2**60)),
    ):
        at, bytes_ = change
        path.write_bytes(whole[:at] + bytes_ + whole[at + len(bytes_) :])
        with pytest.raises(CheckpointError, match="not a whole GGUF file"):
            read_gguf(path)


def test_other_types_and_sizes_are_named(tmp_path):
    path = write_gguf(tmp_path / "x.gguf", {"a": 1}, {"w": (2, (32,), bytes(18)), "v": (Q8_0, (33,), bytes(64))})
    tensors = read_gguf(path).tensors
    with pytest.raises(CheckpointError, match="w has type 2; only F32"):
        tensors["w"].load()
    with pytest.raises(CheckpointError, match="v is cut off"):
        tensors["v"].load()


def test_the_language_model_fits_its_config(language_model):
    import torch
    from transformers import LlamaModel

    gguf = read_gguf(language_model)
    weights = smollm2_weights(gguf)
    LlamaModel(smollm2_config(gguf)).load_state_dict(weights)  # strict
    stored = torch.from_numpy(gguf.tensors["blk.1.attn_k.weight"].load()).to(torch.bfloat16)
    # Channel 2i of a head of 8 is channel i of Transformers', and 2i + 1 is 4 + i.
    assert torch.equal(weights["layers.1.self_attn.k_proj.weight"][8:16], stored[8:16][[0, 2, 4, 6, 1, 3, 5, 7]])


def test_the_tokenizer_splits_digits_and_knows_control_tokens(language_model):
    tokenizer = smollm2_tokenizer(read_gguf(language_model))
    assert tokenizer.tokenize("a  12") == ["a", "ĠĠ", "1", "2"]
    assert tokenizer.encode("<|im_end|>") == [2] == [tokenizer.eos_token_id]
    assert tokenizer.decode(tokenizer.encode("Größe 7")) == "Größe 7"
    assert len(tokenizer) == len(TOKENS)

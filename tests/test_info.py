"""`info`: what the headers say is what the model has."""

import pytest

from minigemini.inference import CheckpointError
from minigemini.inference.report import report


def test_every_parameter_is_counted_once(tiny_checkpoint, tiny_model):
    found = report(tiny_checkpoint)
    parts = {
        "vision tower": tiny_model.model.vision_tower,
        "high-res tower": tiny_model.model.high_res_vision_tower,
        "mining": tiny_model.model.patch_info_mining,
        "projector": tiny_model.model.multi_modal_projector,
        "language model": tiny_model.model.language_model,
        "head": tiny_model.lm_head,
    }
    counted = {name: sum(p.numel() for p in part.parameters()) for name, part in parts.items()}
    assert found.parameters == counted
    assert found.total == tiny_model.num_parameters()
    assert found.stored_as == {"F32": found.total}
    assert found.weights_bytes == {"float32": 4 * found.total, "bfloat16": 2 * found.total, "float16": 2 * found.total}


def test_tokens_are_what_the_processor_makes(tiny_checkpoint, make_processor, tiny_model):
    found = report(tiny_checkpoint)
    assert found.tokens_per_picture == make_processor(tiny_model.config).num_image_tokens == 4
    assert (found.low_res_size_px, found.high_res_size_px, found.tiles, found.positions_per_patch) == (16, 32, 1, 4)


def test_a_tied_head_and_a_baseline_have_fewer_parts(make_model, tmp_path):
    model = make_model(high_res_vision_config=None, text_config={"tie_word_embeddings": True})
    model.save_pretrained(tmp_path)
    found = report(tmp_path)
    assert found.parameters.keys() == {"vision tower", "projector", "language model"}
    assert found.total == model.num_parameters()


def test_no_weight_is_read(tiny_checkpoint, monkeypatch):
    """All of it comes from config.json and the headers."""
    import safetensors.torch

    for name in ("load", "load_file", "load_model"):
        monkeypatch.setattr(safetensors.torch, name, lambda *_, **__: pytest.fail("weights were read"))
    monkeypatch.setattr("torch.nn.Module.__init__", lambda *_, **__: pytest.fail("a model was built"))
    assert report(tiny_checkpoint).total


def test_no_checkpoint(tmp_path):
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        report(tmp_path)

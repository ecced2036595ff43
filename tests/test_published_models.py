"""Every published model at its real size: names, shapes, counts and tokens, from headers alone.

The checkpoints are sparse files (tests/sparse_checkpoints.py) in a layout that is written independently of our tables.
"""

import json
from dataclasses import replace

import published_figures
import pytest
import sparse_checkpoints
import torch
from transformers import AutoModelForCausalLM
from typer.testing import CliRunner

from minigemini.cli.app import app
from minigemini.conversion import PUBLISHED
from minigemini.conversion.convert import plan_conversion, read_fields
from minigemini.inference.published_figures import FIGURES, published_reports
from minigemini.io.loading import stored_layout
from minigemini.modeling.configuration import CLIP_VIT_L_14_336

# Known parameter counts of the language models.
LANGUAGE_MODEL = {
    "2B": 2_506_172_416,
    "7B": 6_738_415_616,
    "13B": 13_015_864_320,
    "8B": 8_030_261_248,
    "8x7B": 46_702_792_704,
    "34B": 34_388_917_248,
}
VIT = 1024 * (3 * 14 * 14 + 1 + 577 + 2) + 23 * (12 * 1024**2 + 13 * 1024)  # 23 of 24 layers
CONVNEXT = 197_767_336 - 1000 * 1537 - 2 * 1536  # timm's convnext_large without its head and the norm before it
MINING = 1024**2 + 3 * 1024 + 2 * (1024 * 2880 + 2 * 2880 + 1024)  # three LayerNorms and Linears


@pytest.fixture(scope="module")
def encoders(tmp_path_factory):
    """Both base encoders at their real size."""
    folder = tmp_path_factory.mktemp("encoders")
    sparse_checkpoints.write_sparse(folder / "vit", sparse_checkpoints.vit("vision_model."), "F32")
    (folder / "vit" / "config.json").write_text(json.dumps({"model_type": "clip", "vision_config": CLIP_VIT_L_14_336}))
    sparse_checkpoints.write_sparse(folder / "convnext", sparse_checkpoints.convnext("visual.trunk."), "F32")
    return [str(folder / "vit"), str(folder / "convnext")]


@pytest.mark.parametrize("name", PUBLISHED)
def test_every_tensor_is_mapped(name, encoders, tmp_path):
    fields = PUBLISHED[name].fields
    layout = sparse_checkpoints.published(fields)
    sparse_checkpoints.write_sparse(tmp_path, layout)
    (tmp_path / "config.json").write_text(json.dumps(fields))
    plan = plan_conversion(
        tmp_path, read_fields(tmp_path), *encoders
    )  # refuses missing, unknown and mis-shaped tensors
    used = {source.key for source in plan.tensors.values()}
    base = sparse_checkpoints.convnext("visual.trunk.")
    assert used | plan.unused.keys() == layout.keys() | base.keys()
    assert plan.tensors.keys() == stored_layout(plan.config).keys()
    assert plan.config.to_dict() == PUBLISHED[name].config().to_dict()

    counts = dict.fromkeys(("vision_tower", "high_res_vision_tower", "patch_info_mining", "multi_modal_projector"), 0)
    counts["language model"] = 0
    for key, source in plan.tensors.items():
        part = key.split(".")[1]
        counts[part if part in counts else "language model"] += torch.Size(source.shape).numel()
    size, hidden = name.split("-")[1], fields["hidden_size"]
    assert counts == {
        "vision_tower": VIT,
        "high_res_vision_tower": CONVNEXT,
        "patch_info_mining": MINING,
        "multi_modal_projector": 1024 * hidden + hidden + hidden * hidden + hidden,
        "language model": LANGUAGE_MODEL[size],
    }
    hd = name.endswith("HD")
    assert (plan.config.num_image_tokens, plan.config.positions_per_patch) == (2880 if hd else 576, 8)
    assert (plan.config.low_res_size, plan.config.high_res_size) == ((672, 1536) if hd else (336, 768))


@pytest.mark.parametrize("size", LANGUAGE_MODEL)
def test_parameter_counts_match_transformers(size):
    config = PUBLISHED[f"MGM-{size}"].config().text_config
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    assert model.num_parameters() == LANGUAGE_MODEL[size]


def test_there_are_eleven_published_models():
    assert len(PUBLISHED) == 11


def test_stored_figures_match_the_tables():
    """`python tools/published_figures.py` updates them."""
    assert FIGURES.read_text() == published_figures.as_text(published_figures.figures())
    stored, computed = published_reports()["MGM-7B-HD"], PUBLISHED["MGM-7B-HD"].report("MGM-7B-HD")
    assert replace(stored, linears=sorted(stored.linears)) == replace(computed, linears=sorted(computed.linears))


@pytest.mark.parametrize("name", PUBLISHED)
def test_info_by_name(name):
    """`info` for a published model reads the stored figures and downloads nothing."""
    done = CliRunner().invoke(app, ["info", name, "--json"], catch_exceptions=False)
    report = json.loads(done.stdout)
    language_model = report["parameters"]["language model"] + report["parameters"].get("head", 0)
    assert language_model == LANGUAGE_MODEL[name.split("-")[1]]
    assert report["parameters"]["vision tower"] == VIT
    assert report["tokens_per_picture"] == (2880 if name.endswith("HD") else 576)
    assert report["weights_bytes"]["bfloat16"] == 2 * report["parameters"]["total"]


def test_a_folder_of_the_same_name_takes_precedence(tiny_checkpoint, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "MGM-7B").symlink_to(tiny_checkpoint)
    done = CliRunner().invoke(app, ["info", "MGM-7B", "--json"], catch_exceptions=False)
    assert json.loads(done.stdout)["tokens_per_picture"] == 4

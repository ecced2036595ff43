"""`info`: the report from headers matches the loaded model."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from test_adapters import KINDS, make_adapter
from torch import nn

from minigemini.cli.info import report_json, report_table
from minigemini.conversion import PUBLISHED
from minigemini.inference import CheckpointError, Engine
from minigemini.inference.model_report import describe, report_model
from minigemini.io.checkpoint import check_name, open_checkpoint
from minigemini.io.free_memory import fit_report, free_disk, free_memory
from minigemini.modeling.outputs import CACHE
from minigemini_models.nano import NANO_DIR

GB = 10**9


def test_every_parameter_is_counted_once(tiny_checkpoint, tiny_model):
    found = report_model(tiny_checkpoint)
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


def test_tokens_match_the_processor(tiny_checkpoint, make_processor, tiny_model):
    found = report_model(tiny_checkpoint)
    assert found.tokens_per_image == make_processor(tiny_model.config).num_image_tokens == 4
    assert (found.low_res_size_px, found.high_res_size_px, found.tiles, found.positions_per_patch) == (16, 32, 1, 4)


def test_a_tied_head_and_a_baseline_have_fewer_parts(make_model, tmp_path):
    model = make_model(high_res_vision_config=None, text_config={"tie_word_embeddings": True})
    model.save_pretrained(tmp_path)
    found = report_model(tmp_path)
    assert found.parameters.keys() == {"vision tower", "projector", "language model"}
    assert found.total == model.num_parameters()


def test_no_weights_are_read(tiny_checkpoint, monkeypatch):
    """The report comes from config.json and the headers alone."""
    import safetensors.torch

    for name in ("load", "load_file", "load_model"):
        monkeypatch.setattr(safetensors.torch, name, lambda *_, **__: pytest.fail("weights were read"))
    monkeypatch.setattr("torch.nn.Module.__init__", lambda *_, **__: pytest.fail("a model was built"))
    assert report_model(tiny_checkpoint).total


def test_a_folder_without_checkpoint_is_refused(tmp_path):
    with pytest.raises(CheckpointError, match=r"no config\.json"):
        report_model(tmp_path)


# Memory


@pytest.mark.parametrize("way", ["8bit", "4bit"])
def test_quantized_weights_have_the_reported_size(make_model, make_processor, tmp_path, way):
    model = make_model(text_config={"hidden_size": 64, "intermediate_size": 128})
    model.save_pretrained(tmp_path)
    make_processor(model.config).save_pretrained(tmp_path)
    loaded = Engine.load(tmp_path, device="cpu", dtype="bfloat16", quantize=way).model
    # Besides weights and scales, bitsandbytes stores tables of a few bytes per Linear.
    tables = ("weight_format", "quant_map", "bitsandbytes__nf4")
    size = sum(tensor.nbytes for name, tensor in loaded.state_dict().items() if not name.endswith(tables))
    assert report_model(tmp_path).quantized_bytes[way] == size


@pytest.mark.parametrize("model_type", ["llama", "gemma2", "qwen2", "phi3", "mixtral"])
def test_linears_are_found_by_name(make_model, tmp_path, model_type):
    model = make_model(text_config={"model_type": model_type, "head_dim": 8, "pad_token_id": 0})
    model.save_pretrained(tmp_path)
    linears = [x for x in model.model.language_model.modules() if isinstance(x, nn.Linear)]
    assert sorted(report_model(tmp_path).linears) == sorted(tuple(x.weight.shape) for x in linears)


def test_the_cache_has_the_reported_size(tiny_checkpoint, tiny_model):
    tokens = 7
    cache = tiny_model(input_ids=torch.full((1, tokens), 9), use_cache=True)[CACHE]
    size = sum(layer.keys.nbytes + layer.values.nbytes for layer in cache.layers)
    assert report_model(tiny_checkpoint).cache_bytes_per_token["float32"] * tokens == size


def test_a_report_needs_no_folder(tiny_checkpoint, tiny_model):
    """Reports on published models are made from tables of headers."""
    found = describe("published", tiny_model.config, open_checkpoint(tiny_checkpoint).tensors)
    assert (found.model, found.folder) == ("published", None)
    assert found.weights_bytes == report_model(tiny_checkpoint).weights_bytes
    assert json.loads(json.dumps(report_json(found, {"cpu": 0}, 0)))["folder"] is None


def test_an_adapter_is_described_over_its_base(tiny_checkpoint, tmp_path):
    make_adapter(tiny_checkpoint, tmp_path / "adapter", **KINDS["names"])
    assert report_model(tmp_path / "adapter").parameters == report_model(tiny_checkpoint).parameters


def test_nano_is_the_embedded_model_despite_a_file_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nano").touch()
    check_name("nano")
    assert report_model("nano").folder == NANO_DIR


def test_packed_weights_are_refused(tiny_checkpoint, tmp_path):
    Engine.load(tiny_checkpoint, device="cpu", quantize="8bit").model.save_pretrained(tmp_path)
    with pytest.raises(CheckpointError, match="contains packed 8bit weights"):
        report_model(tmp_path)


def test_verdicts():
    free = {"cpu": 8 * GB, "cuda:0": 4 * GB, "cuda:1": 4 * GB}

    def verdict(need: int, device: str, **options) -> tuple[str, str]:
        report = fit_report(need * GB, device, free, **{"quantized": False, "disk": 10 * GB, **options})
        return report.answer, report.reason

    assert verdict(4, "cuda:0", quantized=True) == ("yes", "")
    assert verdict(8, "cuda:0", quantized=True) == ("with --device-map auto", "")
    for device, has in (("cuda:0", "4.0 GB"), ("cpu", "8.0 GB")):
        answer, reason = verdict(9, device, quantized=True)
        assert (answer, f"9.0 GB are needed, {device} has {has} free" in reason) == ("no", True)
    assert verdict(99, "cpu") == ("with --device-map auto", ""), "weights are read directly from the checkpoint"
    assert verdict(26, "cpu", rewritten=True) == ("with --device-map auto", "")
    answer, reason = verdict(27, "cpu", rewritten=True)
    assert (answer, "11.0 GB of the rest must be written to disk, which has 10.0 GB free" in reason) == ("no", True)


def test_files_to_download_need_disk_space(tiny_checkpoint, tiny_model):
    local = report_model(tiny_checkpoint)
    assert local.stored_bytes == 4 * local.total
    remote = describe("published", tiny_model.config, open_checkpoint(tiny_checkpoint).tensors)
    free = {"cpu": 10 * GB}
    for disk, answer in ((0, "no"), (2 * local.stored_bytes - 1, "no"), (2 * local.stored_bytes, "yes")):
        fits = remote.fits(free, disk)
        assert {fits[way]["cpu"].answer for way in ("float32", "bfloat16", "8bit")} == {answer}
        assert ("downloading and converting" in fits["float32"]["cpu"].reason) == (answer == "no")
    assert local.fits(free, 0)["float32"]["cpu"].answer == "yes"


def test_every_negative_verdict_has_a_reason():
    for model in ("MGM-34B-HD", "MGM-2B"):
        for free in ({"cpu": 2 * GB}, {"cpu": 30 * GB, "cuda:0": 8 * GB}):
            for disk in (GB, 200 * GB, 10_000 * GB):
                found = PUBLISHED[model].report(model)
                verdicts = [verdict for by_device in found.fits(free, disk).values() for verdict in by_device.values()]
                assert all((verdict.answer == "no") == bool(verdict.reason) for verdict in verdicts)
                report, table = report_json(found, free, disk), report_table(found, free, disk)
                negative = [
                    report["reasons"][way][device]
                    for way, by_device in report["fits"].items()
                    for device, answer in by_device.items()
                    if answer == "no"
                ]
                assert all(reason in table for reason in negative)


def test_free_disk_is_measured_where_the_folder_will_be(tmp_path):
    assert 0 < free_disk(tmp_path / "not" / "here") <= shutil.disk_usage(tmp_path).total


def test_4bit_does_not_fit_where_its_kernel_does_not_run():
    fits = report_model("nano").fits({"cpu": 2**30, "cuda:0": 2**30}, 0)
    assert [verdict.answer for verdict in fits["8bit"].values()] == ["yes", "yes"]
    assert [verdict.answer for verdict in fits["4bit"].values()] == ["no", "yes"]
    assert "use 8bit" in fits["4bit"]["cpu"].reason


def test_free_memory_respects_container_limits(tmp_path):
    """Both versions of control groups: limits of parents count, and the page cache counts as free."""

    def write(path: str, text: object) -> Path:
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(f"{text}\n")
        return tmp_path

    def cpu() -> int:
        return free_memory(tmp_path / "proc", tmp_path / "groups")["cpu"]

    write("proc/meminfo", "MemTotal: 9000 kB\nMemAvailable: 8000 kB")
    assert cpu() == 8000 * 1024
    write("proc/self/cgroup", "4:memory:/one\n0::/two/three")
    assert cpu() == 8000 * 1024, "no limit is set"
    for group, limit, used in [("two/three", "max", 10), ("two", 900, 400)]:
        write(f"groups/{group}/memory.max", limit)
        write(f"groups/{group}/memory.current", used)
        write(f"groups/{group}/memory.stat", "anon 1\ninactive_file 100")
    assert cpu() == 900 - 400 + 100
    write("groups/memory/one/memory.limit_in_bytes", 700)
    write("groups/memory/one/memory.usage_in_bytes", 300)
    write("groups/memory/one/memory.stat", "total_inactive_file 50")
    assert cpu() == 700 - 300 + 50

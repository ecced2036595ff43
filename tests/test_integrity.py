"""Hashes: every writer records them, loading compares them, and `verify` reports the result."""

import json
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from tiny_published import HIGH_RES, LOW_RES, copy_published
from typer.testing import CliRunner

from minigemini import MiniGeminiForConditionalGeneration, MiniGeminiProcessor
from minigemini.cli.app import app
from minigemini.conversion import convert
from minigemini.inference import CheckpointError, Engine
from minigemini.inference.verify_model import verify
from minigemini.io.adapters import find_model_source
from minigemini.io.connector import save_connector
from minigemini.io.hashes import SUMS, DamagedFileError, check_sums, check_tensors, files_of, read_sums, write_sums
from minigemini.io.integrity import SWITCH
from minigemini.io.merging import merge
from minigemini_models.image_generator import GENERATOR_DIR
from minigemini_models.nano import NANO_DIR


@pytest.fixture
def hashed(tiny_checkpoint, tmp_path) -> Path:
    """A copy of the tiny checkpoint with its hashes."""
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "hashed")
    (folder / "README.md").write_text("A card.")
    write_sums(folder)
    return folder


def flip(file: Path, share: float = 0.9) -> None:
    content = bytearray(file.read_bytes())
    content[int(len(content) * share)] ^= 1
    file.write_bytes(content)


def run(*args: str) -> tuple[int, str]:
    ended = CliRunner().invoke(app, list(args))
    assert ended.exception is None or isinstance(ended.exception, SystemExit), ended.exception
    return ended.exit_code, ended.stdout + ended.stderr


# What we write


@pytest.mark.parametrize("folder", [NANO_DIR, GENERATOR_DIR], ids=["nano", "painter"])
def test_embedded_checkpoint_has_the_recorded_hashes(folder):
    sums = read_sums(folder)
    assert sums is not None
    assert sums.keys() == set(files_of(folder))
    check_sums(folder, sums)


def test_every_writer_lists_its_files(tiny_checkpoint, tiny_model, make_processor, tmp_path):
    from minigemini.training.run_outputs import save_checkpoint
    from minigemini_models.image_generator.network import GeneratorSize, build_generator
    from minigemini_models.image_generator.training import GeneratorTrainModule, export

    save_connector(tiny_model, tmp_path / "parts.safetensors", base=str(tiny_checkpoint))
    merge(tmp_path / "parts.safetensors", tmp_path / "merged")
    convert(
        str(copy_published(tmp_path / "published")),
        tmp_path / "converted",
        low_res_encoder=str(LOW_RES),
        high_res_encoder=str(HIGH_RES),
    )
    weights = dict(tiny_model.named_parameters())
    save_checkpoint(weights, tiny_model, make_processor(tiny_model.config), torch.float32, tmp_path / "trained")
    size = GeneratorSize(widths=(32, 32), heads=2, text_width=32, text_layers=1, text_heads=2)
    export(dict(GeneratorTrainModule(build_generator(size)).named_parameters()), tmp_path / "painter", size)
    for name in ("merged", "converted", "trained", "painter"):
        sums = read_sums(tmp_path / name)
        assert sums is not None
        assert sums.keys() == set(files_of(tmp_path / name)), name
        check_sums(tmp_path / name, sums)


def test_hashes_match_sha256sum(hashed):
    assert subprocess.run(["sha256sum", "-c", "--strict", SUMS], cwd=hashed, capture_output=True).returncode == 0


def test_transformers_loads_a_checkpoint_with_hashes(hashed):
    assert MiniGeminiForConditionalGeneration.from_pretrained(hashed)
    assert MiniGeminiProcessor.from_pretrained(hashed)


# What is compared


LISTED = ["model.safetensors", "config.json", "processor_config.json", "tokenizer.json", "chat_template.jinja"]


@pytest.mark.parametrize("name", LISTED)
def test_flipped_byte_is_reported_by_every_loader(hashed, name, monkeypatch):
    flip(hashed / name)
    with pytest.raises(CheckpointError, match=rf"{name} has other bytes.*verify") as caught:
        Engine.load(hashed, device="cpu")
    assert "\n" not in str(caught.value)
    assert run("verify", str(hashed))[0] == 2
    if name == "model.safetensors":
        monkeypatch.setenv(SWITCH, "0")
        assert Engine.load(hashed, device="cpu")


def test_listed_and_present_files_must_agree(hashed):
    (hashed / "README.md").write_text("Another card.")
    (hashed / "sheet.png").touch()
    assert Engine.load(hashed, device="cpu")
    (hashed / "added_tokens.json").write_text("{}")
    with pytest.raises(CheckpointError, match=r"added_tokens\.json was added"):
        Engine.load(hashed, device="cpu")
    (hashed / "added_tokens.json").unlink()
    (hashed / "generation_config.json").unlink()
    with pytest.raises(CheckpointError, match=r"generation_config\.json is missing"):
        find_model_source(hashed)


@pytest.mark.parametrize("line", ["", "no hash", f"{'0' * 64}  ../config.json", f"{'0' * 64}  /etc/passwd"])
def test_invalid_hash_list_is_an_error(hashed, line):
    (hashed / SUMS).write_text(f"{line}\n" if line else "")
    with pytest.raises(CheckpointError, match=SUMS):
        Engine.load(hashed, device="cpu")


def test_damage_is_reported_rather_than_its_consequences(hashed):
    """A flipped byte in the header of the weights is an error of safetensors too."""
    content = (hashed / "model.safetensors").read_bytes()
    (hashed / "model.safetensors").write_bytes(content[:2000])
    with pytest.raises(CheckpointError, match="corrupt or cut off"):  # headers come first
        Engine.load(hashed, device="cpu")


def test_adapter_hashes_are_compared(tiny_checkpoint, tmp_path):
    model = get_peft_model(
        MiniGeminiForConditionalGeneration.from_pretrained(tiny_checkpoint), LoraConfig(target_modules=["q_proj"])
    )
    model.save_pretrained(tmp_path / "adapter")
    write_sums(tmp_path / "adapter")
    assert Engine.load(tmp_path / "adapter", device="cpu")
    flip(tmp_path / "adapter" / "adapter_model.safetensors")
    with pytest.raises(CheckpointError, match=r"adapter_model\.safetensors has other bytes"):
        find_model_source(tmp_path / "adapter")


def test_connector_file_contains_its_hash(tiny_model, tiny_checkpoint, tmp_path):
    file = tmp_path / "parts.safetensors"
    save_connector(tiny_model, file, base=str(tiny_checkpoint))
    assert check_tensors(file)
    save_file(load_file(file), tmp_path / "others.safetensors")
    assert not check_tensors(tmp_path / "others.safetensors")
    flip(file)
    with pytest.raises(DamagedFileError, match="other values"):
        check_tensors(file)
    with pytest.raises(CheckpointError, match="other values"):
        Engine.load(file, device="cpu")


def as_snapshot(folder: Path, hub: Path) -> Path:
    """A folder as the hub's cache holds it: links to blobs that are named by their hashes."""
    import hashlib

    snapshot, blobs = hub / "snapshots" / "main", hub / "blobs"
    snapshot.mkdir(parents=True)
    blobs.mkdir()
    for file in folder.iterdir():
        content = file.read_bytes()
        git = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        name = hashlib.sha256(content).hexdigest() if file.suffix == ".safetensors" else git
        (blobs / name).write_bytes(content)
        (snapshot / file.name).symlink_to(f"../../blobs/{name}")
    return snapshot


def test_hub_snapshot(hashed, tiny_checkpoint, tmp_path):
    snapshot = as_snapshot(hashed, tmp_path / "hub")
    assert Engine.load(snapshot, device="cpu")
    plain = as_snapshot(tiny_checkpoint, tmp_path / "plain")
    assert any("the hub's hashes" in line for line in verify(str(plain)).checked)
    for folder in (snapshot, plain):
        flip((folder / "model.safetensors").resolve())
    with pytest.raises(CheckpointError, match="other bytes"):
        Engine.load(snapshot, device="cpu")
    with pytest.raises(CheckpointError, match="the hub's hash"):
        verify(str(plain))


# verify


def test_verify_without_hashes_reports_what_is_unknown(tiny_checkpoint, tmp_path):
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "plain")
    code, said = run("verify", str(folder))
    assert code == 0
    assert "finite" in said
    assert f"unchecked  whether files were changed: there is no {SUMS}" in said
    tensors = load_file(folder / "model.safetensors")
    tensors["lm_head.weight"][3, 3] = float("nan")
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    code, said = run("verify", str(folder))
    assert (code, "lm_head.weight contains values that are not finite" in said) == (2, True)
    assert run("verify", str(folder), "--write")[0] == 0, "whoever writes hashes vouches for the files"
    assert read_sums(folder)


def test_verify_of_other_models_and_files(tiny_model, tmp_path):
    assert run("verify", "nano")[0] == 0
    assert run("verify", str(GENERATOR_DIR))[0] == 0
    assert run("verify", str(copy_published(tmp_path / "published")))[0] == 0
    save_connector(tiny_model, tmp_path / "parts.safetensors")
    assert run("verify", str(tmp_path / "parts.safetensors"))[0] == 0
    for wrong in ("nowhere", str(tmp_path), str(Path(__file__))):
        code, said = run("verify", wrong)
        assert code == 2
        assert said.startswith("minigemini: ")


def test_verify_compares_names_and_shapes_with_the_config(tiny_checkpoint, tmp_path):
    folder = shutil.copytree(tiny_checkpoint, tmp_path / "changed")
    config = json.loads((folder / "config.json").read_text())
    config["text_config"]["intermediate_size"] += 8
    (folder / "config.json").write_text(json.dumps(config))
    code, said = run("verify", str(folder))
    assert (code, "mis-shaped" in said) == (2, True)

"""What the README shows runs as it stands there."""

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import damaged
import httpx
import native_files
import pytest
import readme_results
from tiny_published import GOLDEN, HIGH_RES, LOW_RES, TOKENIZERS
from transformers import LlamaConfig, LlamaForCausalLM
from typer.testing import CliRunner

from minigemini.cli.app import app
from minigemini.inference import Engine
from minigemini_models.ablation import ablation_run
from minigemini_models.ablation.ablation_run import Ablation
from minigemini_models.nano import training_pipeline

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PROGRAMS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
ROWS = re.findall(r"^\| `minigemini ([^`]+)`", README, re.MULTILINE)
SERVERS = ("serve", "web")
COMMANDS = [row for row in ROWS if row.split()[0] not in SERVERS]
DOCTOR = "data doctor {folder}/mix.json --images {folder}/pictures --fix {folder}/mix.manifest"
KEYBOARD = "What do you see?\n/quit\n"


def test_the_readme_shows_programs_and_every_verb():
    assert len(PROGRAMS) == 2
    verbs = {(command.name,) for command in app.registered_commands}
    for group in app.registered_groups:
        verbs |= {(group.name, command.name) for command in group.typer_instance.registered_commands}
    groups = {group.name for group in app.registered_groups}
    assert {tuple(command.split()[: 2 if command.split()[0] in groups else 1]) for command in ROWS} == verbs


def test_both_programs_print_the_same_answer():
    said = [
        subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for program in PROGRAMS
    ]
    assert said[0].strip()
    assert said[0] == said[1]


def test_the_results_are_what_eval_measured():
    """`python tools/readme_results.py runs/eval/nano/report.md` put both where they are."""
    assert readme_results.between(README) == readme_results.tables(readme_results.REPORT.read_text())
    with pytest.raises(ValueError, match="no report"):
        readme_results.tables("# Something else\n")


def put_parts_into(folder: Path) -> None:
    """What `convert` and `assemble` start from, by the names of the README."""
    (folder / "MGM-7B").symlink_to(next(GOLDEN.glob("MGM-*")))
    (folder / "model_zoo").symlink_to(GOLDEN / "model_zoo")
    (folder / "clip-vit").symlink_to(LOW_RES)
    (folder / "convnext").symlink_to(HIGH_RES)
    shutil.copytree(TOKENIZERS / "tok_llama_fast", folder / "smollm")
    config = LlamaConfig(
        hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, vocab_size=448
    )
    LlamaForCausalLM(config).save_pretrained(folder / "smollm")


def put_descriptions_into(folder: Path) -> None:
    """What `data synthesize` starts from."""
    turns = [{"from": "human", "value": "<image>\nDescribe."}, {"from": "gpt", "value": "A cat on a sofa."}]
    (folder / "described.json").write_text(json.dumps([{"id": "1", "image": "1.jpg", "conversations": turns}]))


def put_data_into(folder: Path) -> None:
    """What `data` fetches and reads, by the names of the README."""
    native_files.lima(folder / "my-mirror", 3)
    damaged.fabricate(folder, 24, 5, 0.5)
    (folder / "set.json").rename(folder / "mix.json")
    done = CliRunner().invoke(app, shlex.split(DOCTOR.format(folder=folder)))
    assert done.exit_code == 0, done.output


def save_adapter(folder: Path) -> None:
    """As training with PEFT leaves one."""
    from peft import LoraConfig, get_peft_model

    adapter = get_peft_model(Engine.load("nano").model, LoraConfig(r=4, target_modules=["q_proj", "v_proj"]))
    adapter.save_pretrained(folder)


@pytest.mark.parametrize("command", COMMANDS)
def test_command(command, tmp_path, monkeypatch):
    trained = []
    # Hours: test_pretraining.py and test_ablation.py have them.
    monkeypatch.setattr(training_pipeline, "train_pipeline", lambda *given: trained.append(given))
    monkeypatch.setattr(ablation_run, "run_ablation", lambda *given: trained.append(given))
    if command.startswith("merge"):
        save_adapter(tmp_path / "my-adapter")
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    put_descriptions_into(tmp_path)
    put_data_into(tmp_path)
    put_parts_into(tmp_path)
    monkeypatch.chdir(tmp_path)
    words = shlex.split(command) + (["--limit", "1", "--gallery", "2"] if command.startswith("eval") else [])
    done = CliRunner().invoke(app, words, input=KEYBOARD, catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    if command.startswith("train"):
        ablation = (Ablation(), Path("runs/ablation"))
        assert trained == [ablation if "ablation" in command else ("nano", Path("runs/nano"), {}, [])]
    else:
        assert done.stdout.strip()
    if command.startswith("merge"):
        assert Engine.load(tmp_path / "my-model").ask(ROOT / "examples/sign.png", "What is this?").text
    for name in re.findall(r"(?<!/)\b\w+\.png", command):
        assert (tmp_path / name).exists()


@pytest.mark.parametrize("command", [row for row in ROWS if row.split()[0] in SERVERS])
def test_server(command):
    if command.startswith("web"):
        pytest.importorskip("gradio")
    words = [sys.executable, "-m", "minigemini", *shlex.split(command), "--port", "0"]
    with subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True) as program:
        assert program.stderr is not None
        url = next(re.findall(r"http://[\w.:]+", line)[0] for line in program.stderr if "http://" in line)
        assert httpx.get(f"{url}/health" if command.startswith("serve") else url).status_code == 200
        program.terminate()
        program.communicate(timeout=60)
    assert program.returncode in (0, -signal.SIGTERM)


def test_every_make_target_of_the_readme_exists():
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert set(re.findall(r"^    make ([\w-]+)", README, re.MULTILINE)) <= set(targets)

"""The programs and commands of the README and of docs/commands.md run as they are written there."""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import damaged_data
import httpx
import nano_results
import native_files
import pytest
import video_clips
from tiny_published import GOLDEN, HIGH_RES, LOW_RES, TOKENIZERS
from transformers import LlamaConfig, LlamaForCausalLM
from typer.testing import CliRunner

from minigemini.cli.app import app
from minigemini.inference import Engine
from minigemini.training import run
from minigemini_models.ablation import ablation_run
from minigemini_models.ablation.ablation_run import Ablation
from minigemini_models.nano import training_pipeline

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
PROGRAMS = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
ROWS = re.findall(r"^\| `minigemini ([^`]+)`", (ROOT / "docs" / "commands.md").read_text(), re.MULTILINE)
SERVERS = ("serve", "web")
COMMANDS = [row for row in ROWS if row.split()[0] not in SERVERS]
PUBLISHED = re.findall(
    r"^    minigemini (.+)$", README.split("## A published 7B model")[1].split("\n## ")[0], re.MULTILINE
)
WAYS_IN = [
    command.removeprefix("minigemini ")
    for row in README.split("## Three ways in")[1].split("\n## ")[0].splitlines()
    if row.startswith("|")
    for command in re.findall(r"`(minigemini [^`]+)`", row)
]
DOCTOR = "data doctor {folder}/mix.json --images {folder}/pictures --fix {folder}/mix.manifest"
KEYBOARD = "What do you see?\n/quit\n"


def test_readme_can_be_read_in_two_minutes():
    assert len(README.split()) <= 900


def test_commands_page_has_an_example_of_every_command():
    verbs = {(command.name,) for command in app.registered_commands}
    for group in app.registered_groups:
        verbs |= {
            (group.name, command.name) for command in group.typer_instance.registered_commands if not command.hidden
        }
    groups = {group.name for group in app.registered_groups}
    assert {tuple(command.split()[: 2 if command.split()[0] in groups else 1]) for command in ROWS} == verbs


def test_both_programs_print_the_same_answer():
    assert len(PROGRAMS) == 2
    answers = [
        subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        for program in PROGRAMS
    ]
    assert answers[0].strip() == "BEAT"
    assert answers[0] == answers[1]


@pytest.mark.parametrize("page", nano_results.PAGES, ids=lambda path: path.name)
def test_pages_show_what_eval_measured(page):
    """`python tools/nano_results.py runs/nano runs/eval/nano/report.md` writes them."""
    assert nano_results.between(page.read_text()) == nano_results.tables(nano_results.REPORT.read_text())


def test_other_files_are_no_report():
    with pytest.raises(ValueError, match=r"not a report\.md"):
        nano_results.tables("# Something else\n")


def test_kept_logs_have_the_means_of_consecutive_steps():
    rows = [{"loss": float(step), "epoch": 0.5, "step": step} for step in range(1, 402)]
    rows[0]["names_accuracy"] = 0.25  # a metric that not every step has
    kept = nano_results.thinned([*rows, {"train_runtime": 1.0, "step": 401}])
    assert kept[0] == {"loss": 2.0, "names_accuracy": 0.25, "step": 3}
    assert kept[-1] == {"loss": 400.5, "step": 401}
    assert len(kept) == 134


def save_parts_to(folder: Path) -> None:
    """The inputs of `convert` and `assemble`, under the names that the documentation uses."""
    (folder / "YanweiLi").mkdir()
    (folder / "YanweiLi/MGM-7B").symlink_to(next(GOLDEN.glob("MGM-*")))
    (folder / "model_zoo").symlink_to(GOLDEN / "model_zoo")
    (folder / "clip-vit").symlink_to(LOW_RES)
    (folder / "convnext").symlink_to(HIGH_RES)
    shutil.copytree(TOKENIZERS / "tok_llama_fast", folder / "smollm")
    config = LlamaConfig(
        hidden_size=32, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2, vocab_size=448
    )
    LlamaForCausalLM(config).save_pretrained(folder / "smollm")


def save_descriptions_to(folder: Path) -> None:
    """The input of `data synthesize`."""
    turns = [{"from": "human", "value": "<image>\nDescribe."}, {"from": "gpt", "value": "A cat on a sofa."}]
    (folder / "described.json").write_text(json.dumps([{"id": "1", "image": "1.jpg", "conversations": turns}]))


def save_data_to(folder: Path) -> None:
    """The inputs of `data`, under the names that the documentation uses."""
    native_files.lima(folder / "my-mirror", 3)
    damaged_data.fabricate(folder, 24, 5, 0.5)
    (folder / "set.json").rename(folder / "mix.json")
    done = CliRunner().invoke(app, shlex.split(DOCTOR.format(folder=folder)))
    assert done.exit_code == 0, done.output


def save_questions_to(folder: Path) -> None:
    """A question of one's own about a photograph."""
    (folder / "photos").symlink_to(ROOT / "examples" / "photos")
    turns = [{"from": "human", "value": "<image>\nWhat animal is this?"}, {"from": "gpt", "value": "A cat."}]
    (folder / "questions.jsonl").write_text(json.dumps({"id": "1", "image": "cat.jpg", "conversations": turns}) + "\n")


def save_runs_to(folder: Path) -> None:
    """Two evaluations of the same question."""
    save_questions_to(folder)
    for name in ("before", "after"):
        run_folder = f"{folder}/runs/eval/{name}"
        words = ["eval", f"{folder}/questions.jsonl", "--images", f"{folder}/photos", "-o", run_folder]
        done = CliRunner().invoke(app, words, catch_exceptions=False)
        assert done.exit_code == 0, done.stderr


def save_adapter_to(folder: Path) -> None:
    """An adapter as PEFT saves it."""
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
        save_adapter_to(tmp_path / "my-adapter")
    if "clip.mp4" in command:
        pytest.importorskip("av")
        (tmp_path / "clip.mp4").write_bytes(video_clips.clip(video_clips.pictures(3)))
    if command.startswith("export"):
        pytest.importorskip("onnxscript")
    if command.startswith("eval questions.jsonl"):
        save_questions_to(tmp_path)
    if command.startswith("compare"):
        save_runs_to(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    save_descriptions_to(tmp_path)
    save_data_to(tmp_path)
    save_parts_to(tmp_path)
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


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A folder with an image and the checkpoint that the README's first command of a published model converts."""
    folder = tmp_path_factory.mktemp("published")
    save_parts_to(folder)
    shutil.copy(ROOT / "examples" / "things.png", folder / "photo.jpg")
    (folder / "examples").symlink_to(ROOT / "examples")
    convert = shlex.split(PUBLISHED[0])
    assert convert[:3] == ["convert", "YanweiLi/MGM-7B", "mgm-7b"]
    with contextlib.chdir(folder):
        done = CliRunner().invoke(app, convert, catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    return folder


@pytest.mark.parametrize("command", PUBLISHED[1:])
def test_command_for_a_published_model(command, published, monkeypatch):
    monkeypatch.chdir(published)
    done = CliRunner().invoke(app, shlex.split(command, comments=True), catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    assert done.stdout


@pytest.mark.parametrize("command", [row for row in WAYS_IN if row.split()[0] not in SERVERS])
def test_first_commands(command, published, tmp_path, monkeypatch):
    trained = []
    monkeypatch.setattr(run, "train", lambda *given: trained.append(given))  # it takes hours, and a 7B model
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    damaged_data.fabricate(tmp_path, 24, 5, 0.5)
    (tmp_path / "set.json").rename(tmp_path / "mix.json")
    (tmp_path / "pictures").rename(tmp_path / "images")
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(app, shlex.split(command), input=KEYBOARD, catch_exceptions=False)
    assert done.exit_code == 0, done.stderr
    assert done.stdout.strip() or trained


def serve_and_stop(command: str, folder: Path) -> None:
    """Start a server on a free port, wait until it answers, and stop it."""
    if command.startswith("web"):
        pytest.importorskip("gradio")
    words = [sys.executable, "-m", "minigemini", *shlex.split(command), "--port", "0"]
    path = f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    environment = os.environ | {"PYTHONPATH": path}
    with subprocess.Popen(words, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True) as program:
        assert program.stderr is not None
        url = next(re.findall(r"http://[\w.:]+", line)[0] for line in program.stderr if "http://" in line)
        assert httpx.get(f"{url}/health" if command.startswith("serve") else url).status_code == 200
        program.terminate()
        program.communicate(timeout=60)
    assert program.returncode in (0, -signal.SIGTERM)


@pytest.mark.parametrize("command", [row for row in ROWS if row.split()[0] in SERVERS])
def test_server(command):
    serve_and_stop(command, ROOT)


@pytest.mark.parametrize("command", [row for row in WAYS_IN if row.split()[0] in SERVERS])
def test_server_of_a_published_model(command, published):
    serve_and_stop(command, published)


def test_every_make_target_of_the_readme_exists():
    targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    named = re.findall(r"(?:^    |`)make ([\w-]+)", README, re.MULTILINE)
    assert named
    assert set(named) <= set(targets)

"""Commands that use synthetic scenes: `scene`, `train`, `eval`."""

import pytest
from PIL import Image
from typer.testing import CliRunner

from minigemini.cli.app import app
from minigemini_models.scenes import fonts, lettering


def run(*words: str):
    return CliRunner().invoke(app, list(words), catch_exceptions=False)


def test_scene_is_reproducible_and_prints_questions(tmp_path):
    first, same, other = (run("scene", str(tmp_path / f"{n}.png"), "--seed", s) for n, s in enumerate("778"))
    assert first.exit_code == same.exit_code == other.exit_code == 0
    images = [(tmp_path / f"{n}.png").read_bytes() for n in range(3)]
    assert images[0] == images[1] != images[2]
    assert Image.open(tmp_path / "0.png").size == (256, 256)
    lines = first.stdout.splitlines()
    assert len(lines) >= 2
    assert lines[0][-1] in "?."
    assert lines[1].startswith("  ")


def test_eval_measures_every_skill_and_writes_a_report(tiny_checkpoint, tmp_path):
    words = [
        "eval",
        "synthetic-basic",
        "--model",
        str(tiny_checkpoint),
        "--limit",
        "2",
        "--gallery",
        "2",
        "-o",
        str(tmp_path / "run"),
    ]
    done = run(*words)
    assert done.exit_code == 0
    assert "| read a word never seen in training | 0.0 (0.0 to 65.8, n=2) |" in done.stdout
    report = (tmp_path / "run/report.md").read_bytes()
    assert done.stdout.strip() in report.decode()
    answers = (tmp_path / "run/answers.jsonl").read_bytes()
    assert run(*words).exit_code == 0
    assert (tmp_path / "run/answers.jsonl").read_bytes() == answers  # answers are cached
    assert (tmp_path / "run/report.md").read_bytes() == report


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["scene", "out.png", "--kind", "castle"], "unknown kind of scene 'castle'"),
        (["scene", "no/such/folder/out.png"], "no/such/folder/out.png"),
        (["train", "giga"], "unknown recipe 'giga'; `minigemini train --list` shows all"),
        (["train", "nano", "--step", "polish"], "unknown step 'polish'; choose from nano-encoders"),
        (["train", "nano", "--step", "nano-align"], "nano-encoders/encoders/vision_tower.safetensors: no such file"),
        (["eval"], "name a task; `minigemini eval --list` lists them"),
        (["eval", "vqa9"], "unknown task 'vqa9'; choose from real, "),
        (["eval", "synthetic-basic", "--limit", "1", "--model", "no-such-folder"], "no-such-folder"),
        (["eval", "mme"], "mme reads official files; give a folder with --data"),
        (["eval", "mme", "--data", "nowhere"], "nowhere: no such folder"),
        (
            ["eval", "synthetic-basic", "--limit", "1", "--backend", "localhost:1"],
            "invalid URL 'localhost:1'; give one like http",
        ),
        (
            ["eval", "synthetic-basic", "--limit", "1", "--backend", "http://127.0.0.1:9"],
            "cannot list models (cannot connect)",
        ),
        (["eval", "synthetic-basic", "--compare", "nowhere"], "--compare is nowhere: no such folder"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(words, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run(*words)
    assert done.exit_code == 2
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_missing_fonts_are_reported_with_the_pip_command(tmp_path, monkeypatch):
    monkeypatch.setattr(fonts, "installed_fonts", dict)
    for kept in (fonts.load_font, lettering._advance, lettering._glyph):
        kept.cache_clear()
    done = run("scene", str(tmp_path / "out.png"), "--kind", "sign")
    assert done.exit_code == 2
    assert "pip install 'minigemini[world]'" in done.stderr

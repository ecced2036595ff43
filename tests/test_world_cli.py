"""The verbs that draw the world: `scene`, `train`, `evaluate`."""

import pytest
from PIL import Image
from typer.testing import CliRunner

from minigemini.world import fonts
from minigemini_cli.app import app


def run(*words: str):
    return CliRunner().invoke(app, list(words), catch_exceptions=False)


def test_scene_draws_the_same_picture_for_a_seed_and_answers_questions_about_it(tmp_path):
    first, again, other = (run("scene", str(tmp_path / f"{n}.png"), "--seed", s) for n, s in enumerate("778"))
    assert first.exit_code == again.exit_code == other.exit_code == 0
    pictures = [(tmp_path / f"{n}.png").read_bytes() for n in range(3)]
    assert pictures[0] == pictures[1] != pictures[2]
    assert Image.open(tmp_path / "0.png").size == (256, 256)
    lines = first.stdout.splitlines()
    assert len(lines) >= 2
    assert lines[0][-1] in "?."
    assert lines[1].startswith("  ")


def test_evaluate_measures_every_skill_and_keeps_the_table(tiny_checkpoint, tmp_path):
    done = run("evaluate", str(tiny_checkpoint), "--samples", "2", "-o", str(tmp_path / "table.md"))
    assert done.exit_code == 0
    assert (tmp_path / "table.md").read_text() in done.stdout
    assert "| read a word never seen in training | 0.0% (0.0% to 65.8%, n=2) |" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["scene", "out.png", "--kind", "castle"], "unknown kind of scene 'castle'"),
        (["scene", "no/such/folder/out.png"], "no/such/folder/out.png"),
        (["train", "giga"], "unknown recipe 'giga'; `minigemini train --list` names them"),
        (["train", "nano", "--step", "polish"], "unknown step polish: choose from low-res-encoder"),
        (["train", "nano", "--step", "alignment"], "run the step low-res-encoder first"),
        (["evaluate", "no-such-folder"], "no-such-folder"),
        (["evaluate", "nano", "-o", "no/such/table.md"], "no such folder to write into"),
    ],
)
def test_bad_input_is_one_line_and_exit_code_2(words, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run(*words)
    assert done.exit_code == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_missing_fonts_are_named_with_the_way_to_install_them(tmp_path, monkeypatch):
    monkeypatch.setattr(fonts, "installed_fonts", dict)
    fonts.load_font.cache_clear()
    done = run("scene", str(tmp_path / "out.png"), "--kind", "sign")
    assert done.exit_code == 2
    assert "pip install 'minigemini[world]'" in done.stderr

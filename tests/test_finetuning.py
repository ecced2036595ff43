"""Fine-tuning on one's own data: docs/train-on-your-data.md from ten records to an answer over HTTP, and its parts."""

import contextlib
import io
import json
import re
from pathlib import Path

import pytest
from api_server import serving
from PIL import Image
from typer.testing import CliRunner

from minigemini.cli.app import app
from minigemini.data.schema import Sample
from minigemini.evaluation.scorers.text_match import anls, answer_type, contains, exact
from minigemini.finetuning.split import keys_of, split
from minigemini.inference import Engine
from minigemini.serving.engine_backend import EngineBackend
from minigemini.serving.server_settings import ServerSettings
from minigemini.serving.state import ServerState

PAGE = (Path(__file__).parent.parent / "docs" / "train-on-your-data.md").read_text()
MAKE_RECORDS, ASK = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
(COMMAND,) = re.findall(r"^    \$ minigemini (finetune .*)$", PAGE, re.MULTILINE)


def finetune(*words: str):
    return CliRunner().invoke(app, ["finetune", *words], catch_exceptions=False)


@pytest.fixture
def records(tmp_path, monkeypatch) -> Path:
    """A working folder with the page's records."""
    monkeypatch.chdir(tmp_path)
    exec(MAKE_RECORDS, {})
    return tmp_path


def test_the_page_from_ten_records_to_an_answer_over_http(records):
    done = finetune(*COMMAND.split()[1:], "steps=2")
    assert done.exit_code == 0, done.output
    folder = records / "runs/mine-nano"
    for words in (
        "samples   10, usable 10",
        "held out  1, no image of training in it; scored by contains",
        "full, rate 0.0005, batch 2, steps=2",
        "contains on 1 held-out samples: 0.000 before, ",
        "minigemini serve --model runs/mine-nano/model",
        "minigemini ask data/8.png 'Which valve is it?' --model runs/mine-nano/model",
    ):
        assert words in done.stdout
    report = json.loads((folder / "report.json").read_text())
    assert [step for step, _ in report["loss"]] == [1, 2]
    assert report["samples"][0]["expected"] == "valve yellow"
    assert report["scores"]["before"].keys() == report["scores"]["after"].keys() == {"exact", "contains", "anls"}
    page = (folder / "report.html").read_text()
    assert page.count("data:image/") == 2  # the loss and the sample
    assert "valve yellow" in page

    state = ServerState(ServerSettings(), EngineBackend(Engine.load(folder / "model"), "model"))
    with serving(state) as running, contextlib.redirect_stdout(io.StringIO()) as printed:
        exec(ASK.replace("http://127.0.0.1:8000", running.url), {})
    assert printed.getvalue().strip() == report["samples"][0]["after"]


def test_an_adapter_and_going_on(records):
    words = ["data/mine.jsonl", "--lora", "--yes", "--output", "run"]
    done = finetune(*words, "steps=1")
    assert done.exit_code == 0, done.output
    assert "lora of rank 16" in done.stdout
    assert "--model run/adapter" in done.stdout
    log, report = (Path("run") / name for name in ("log.jsonl", "report.json"))
    written = log.read_text()
    report.unlink()
    again = finetune(*words)  # the recipe of the run is kept, with its one step
    assert again.exit_code == 0, again.output
    assert "where a run goes on" in again.stdout
    assert log.read_text() == written
    assert report.exists()
    other = finetune("data/mine.jsonl", "--full", "--yes", "--output", "run")
    assert "run holds a run of another recipe" in other.stderr
    with Path("data/mine.jsonl").open("a") as file:
        file.write(Path("data/mine.jsonl").read_text().splitlines()[0] + "\n")
    changed = finetune(*words)
    assert changed.exit_code == 2
    assert "has changed since the run in run started" in changed.stderr


def test_a_dry_run_and_a_question(records):
    asked = finetune("data/mine.jsonl")
    assert (asked.exit_code, "give --yes, or --dry-run" in asked.stderr) == (2, True)
    lines = Path("data/mine.jsonl").read_text().splitlines()
    Path("data/3.png").rename("data/3.webp")  # validation finds it under its new name
    broken = [*lines, '{"image": "0.png"}', '{"image": "missing.png", "question": "Q", "answer": "A"}', lines[0]]
    Path("data/mine.jsonl").write_text("\n".join(broken))
    done = finetune("data/mine.jsonl", "--dry-run")
    assert done.exit_code == 0, done.output
    assert re.search(r"samples +13, usable 11; left out: 1 .*; 1 ", done.stdout)
    assert "s per step" in done.stdout
    assert not Path("runs/mine-nano/report.json").exists()
    listed = [json.loads(line) for line in Path("runs/mine-nano/train.manifest").read_text().splitlines()[1:]]
    assert sorted(line["row"] for line in listed if line.get("fault") not in (None, "held out")) == [10, 11]
    assert {"3.png": "3.webp"} in [line.get("moved") for line in listed]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["few.jsonl", "--yes"], "1 of 2 samples are usable, at least 10 are needed; e.g. row 1: malformed record"),
        (["nothing.jsonl", "--yes"], "no such file or folder"),
        (["data/mine.jsonl", "--yes", "step=2"], "unknown setting 'step'; did you mean steps"),
        (["data/mine.jsonl", "--yes", "--model", "nowhere"], "nowhere"),
        (["data", "--yes", "--output", "data/run"], "is in the folder of the data"),
    ],
)
def test_what_cannot_run_ends_with_one_line(words, message, records):
    Path("few.jsonl").write_text('{"question": "Q", "answer": "A"}\n{"question": "Q"}')
    done = finetune(*words)
    assert done.exit_code == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def sample(number: int, *images: bytes) -> Sample:
    turns = [{"role": role, "content": [{"type": "text", "text": f"{number}"}]} for role in ("user", "assistant")]
    return Sample(str(number), "mine", tuple(turns), images)


def test_split_keeps_images_on_one_side():
    samples = [sample(n, bytes([n // 3]), bytes([100 + n])) for n in range(60)]
    parts = split(range(60), [keys_of(one) for one in samples])
    assert 1 <= len(parts.held_out) <= 6
    assert sorted((*parts.train, *parts.held_out)) == list(range(60))
    assert not {row // 3 for row in parts.train} & {row // 3 for row in parts.held_out}
    assert parts.shared == 0
    backwards = split(range(60), [keys_of(one) for one in reversed(samples)])
    assert {59 - row for row in backwards.held_out} == set(parts.held_out)
    assert len(split(range(5000), [[str(row)] for row in range(5000)]).held_out) == 200
    one_image = split(range(20), [keys_of(sample(n, b"x")) for n in range(20)])
    assert (len(one_image.held_out), one_image.shared) == (2, 2)


def test_images_are_compared_by_content(tmp_path):
    image = Image.new("RGB", (4, 4))
    for name in ("a.png", "b.png"):
        image.save(tmp_path / name)
    data = (tmp_path / "a.png").read_bytes()
    keys = [keys_of(sample(0, one)) for one in (tmp_path / "a.png", tmp_path / "b.png", data)]
    assert keys[0] == keys[1] == keys[2] != keys_of(sample(0))


def test_scores_and_their_choice():
    assert (exact("  The Cat. ", "the cat"), exact("a cat", "cat")) == (1, 0)
    assert (contains("It is a red valve!", "Red valve"), contains("It is infrared.", "red")) == (1, 0)
    assert contains("yes, 3.5 %", "3.5") == 1
    assert anls("abcd", "abce") == 0.75
    assert (anls("ab", "xy"), anls("", "")) == (0, 1)
    assert answer_type(["1", "2,000", "3 %", "x"]) == "number"
    assert answer_type(["yes", "No"] * 5) == "choice"
    assert answer_type([f"name {n}" for n in range(9)]) == "word"
    assert answer_type([f"a longer text about {n}" for n in range(9)]) == "text"

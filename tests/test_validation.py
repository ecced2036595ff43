"""Validation reports the damage of a damaged dataset exactly, and its manifest keeps all other samples."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from damaged_data import DAMAGES, encoded, fabricate, image, record
from PIL import Image
from typer.testing import CliRunner

from minigemini.cli.app import app
from minigemini.data.encoding import SampleEncoder
from minigemini.data.readers import ParquetReader, SourceError, open_reader, write_parquet
from minigemini.dataprep.parallel import ParallelError, run_tasks
from minigemini.dataprep.validate import IssueKind, validate
from minigemini.dataprep.validate.evaluation_overlap import read_evaluation_set
from minigemini.dataprep.validate.image_checks import difference_hash
from minigemini.dataprep.validate.image_index import MAX_DIFFERING_BITS, near_duplicate_groups
from minigemini.dataprep.validate.record_checks import TemplateTokens
from minigemini.dataprep.validate.validation_report import as_page, as_text, exclusions

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    """240 records, 10 % of them damaged, two of each kind."""
    folder = tmp_path_factory.mktemp("damaged")
    return folder, fabricate(folder, 240, 40, 0.1)


@pytest.mark.parametrize("workers", [1, 2])
def test_each_damage_is_reported_with_row_and_id(damaged, workers):
    folder, kinds = damaged
    reader = open_reader(folder / "set.json", folder / "pictures", skip_broken=True)
    found = validate(reader, workers=workers, quiet=True)
    assert set(kinds.values()) == set(DAMAGES)
    assert {issue.row: issue.kind for issue in found.issues} == kinds
    assert found.excluded == sorted(kinds)
    assert found.rows == len(found.characters) == 240
    for issue in found.issues:
        unnamed = issue.kind == "not JSON"
        assert issue.id == (f"row {issue.row}" if unnamed else f"s{issue.row}")
        assert issue.reason
    assert not found.repeated_ids


def test_manifest_keeps_other_samples_in_order(damaged, tmp_path):
    folder, kinds = damaged
    words = ["data", "doctor", str(folder / "set.json"), "--images", str(folder / "pictures"), "--fix"]
    done = CliRunner().invoke(app, [*words, str(tmp_path / "set.manifest")])
    assert done.exit_code == 0, done.output
    reader = open_reader(tmp_path / "set.manifest")
    assert [reader[row].id for row in range(len(reader))] == [f"s{n}" for n in range(240) if n not in kinds]
    lines = [json.loads(line) for line in (tmp_path / "set.manifest").read_text().splitlines()][1:]
    assert {line["row"]: line["fault"] for line in lines} == kinds
    assert all(line["reason"] and line["id"] for line in lines)


NOTED = {
    "mislabeled": (lambda images: (images / "a.jpg").write_bytes(encoded(image(7), "PNG")), IssueKind.MISLABELED),
    "gif": (lambda images: (images / "a.jpg").write_bytes(encoded(image(7), "GIF")), IssueKind.MISLABELED),
    "moved": (lambda images: (images / "a.png").write_bytes(encoded(image(7), "PNG")), IssueKind.MOVED),
    "tiny": (lambda images: (images / "a.jpg").write_bytes(encoded(image(7, 12, 90))), IssueKind.UNUSUAL_SIZE),
    "near": (
        lambda images: (images / "a.jpg").write_bytes(encoded(image(3, 60, 45), quality=40)),
        IssueKind.NEAR_DUPLICATE,
    ),
}


@pytest.mark.parametrize("name", NOTED)
def test_noted_issues_do_not_exclude(name, tmp_path):
    make, kind = NOTED[name]
    (tmp_path / "b.jpg").write_bytes(encoded(image(3)))
    make(tmp_path)
    records = [record(0, "b.jpg"), record(1, "a.jpg"), record(1, "b.jpg", "<image>\nA?", "B", "A?", "C")]
    (tmp_path / "x.json").write_text(json.dumps(records))
    found = validate(open_reader(tmp_path / "x.json", tmp_path), quiet=True)
    by_kind = {issue.kind: issue for issue in found.issues}
    assert set(by_kind) == {kind, IssueKind.REPEATED_TURN}
    assert (by_kind[kind].row, by_kind[kind].id, found.excluded, found.repeated_ids) == (1, "s1", [], 1)
    assert by_kind[IssueKind.REPEATED_TURN].reason == "message 3 repeats message 1"
    lines = list(exclusions(found, tmp_path))
    assert lines == ([{"row": 1, "id": "s1", "moved": {"a.jpg": "a.png"}}] if name == "moved" else [])
    assert [line["row"] for line in exclusions(found, tmp_path, [kind.value])] == [1]


def test_evaluation_sets(tmp_path):
    training, evaluation = tmp_path / "training", tmp_path / "evaluation images"
    training.mkdir()
    evaluation.mkdir()
    for n in range(4):
        (training / f"long-name-{n}.jpg").write_bytes(encoded(image(n)))
    (evaluation / "other.png").write_bytes(encoded(image(2, 200, 150), "PNG"))
    (evaluation / "unseen.jpg").write_bytes(encoded(image(9)))
    named = {"data": [{"image_id": "long-name-3", "question": "?"}, {"image_id": "1"}]}
    (tmp_path / "val.json").write_text(json.dumps(named))
    (tmp_path / "x.json").write_text(json.dumps([record(n, f"long-name-{n}.jpg") for n in range(4)]))
    sets = [read_evaluation_set(evaluation), read_evaluation_set(tmp_path / "val.json")]
    found = validate(open_reader(tmp_path / "x.json", training), evaluation=sets, quiet=True)
    assert [(issue.row, issue.kind) for issue in found.issues] == [(2, IssueKind.EVALUATION), (3, IssueKind.EVALUATION)]
    assert "nearly identical to other.png of evaluation images" in found.issues[0].reason
    assert "val has an image of the same name" in found.issues[1].reason
    assert found.excluded == [2, 3]
    (tmp_path / "none.json").write_text("{}")
    (tmp_path / "empty").mkdir()
    for path, words in (
        ("none.json", "names no images"),
        ("empty", "no images found"),
        ("gone", "neither a folder"),
    ):
        with pytest.raises(SourceError, match=words):
            read_evaluation_set(tmp_path / path)


def test_images_inside_shards(tmp_path):
    from minigemini.data.schema import from_published

    for n, data in enumerate((encoded(image(0)), b"", encoded(image(0), quality=50))):
        (tmp_path / f"{n}.jpg").write_bytes(data)
    samples = [from_published(record(n, f"{n}.jpg"), "x", tmp_path) for n in range(3)]
    write_parquet(samples, tmp_path / "x.parquet")
    found = validate(ParquetReader([tmp_path / "x.parquet"]), quiet=True)
    assert [(issue.row, issue.id, issue.kind) for issue in found.issues] == [
        (1, "s1", "zero bytes"),
        (2, "s2", IssueKind.NEAR_DUPLICATE),
    ]
    assert found.issues[1].reason.endswith("is nearly identical to row 0")


def test_hashes_survive_scaling_and_compression():
    for seed in range(20):
        original = image(seed, 640, 480)
        own = np.array(difference_hash(original), dtype=np.uint64)
        for other in (original.resize((320, 240)), Image.open(__import__("io").BytesIO(encoded(original, quality=60)))):
            differing = np.bitwise_count(own ^ np.array(difference_hash(other), dtype=np.uint64)).sum()
            assert differing <= MAX_DIFFERING_BITS
        another = np.array(difference_hash(image(seed + 1, 640, 480)), dtype=np.uint64)
        assert np.bitwise_count(own ^ another).sum() > 20


def test_groups_equal_pairwise_comparison():
    random = np.random.default_rng(0)
    hashes = random.integers(0, 2**64, (300, 2), dtype=np.uint64)
    hashes[::7] = 0
    for n in range(1, 300, 3):  # some near an earlier one, some slightly too far
        hashes[n] = hashes[n - 1]
        for bit in random.permutation(128)[: n % 6]:
            hashes[n, bit // 64] ^= np.uint64(1) << np.uint64(bit % 64)
    expected = np.arange(300)
    for n in range(300):
        for m in range(n):
            distance = np.bitwise_count(hashes[n] ^ hashes[m]).sum()
            if hashes[n].any() and hashes[m].any() and distance <= MAX_DIFFERING_BITS:
                first, second = sorted((expected[n], expected[m]))
                expected[expected == second] = first
    assert near_duplicate_groups(hashes).tolist() == expected.tolist()
    assert near_duplicate_groups(np.zeros((3, 2), dtype=np.uint64)).tolist() == [0, 1, 2]


def test_token_counts_match_training(damaged):
    from minigemini.io.loading import find_processor

    folder, kinds = damaged
    processor = find_processor("nano")
    reader = open_reader(folder / "set.json", folder / "pictures", skip_broken=True)
    found = validate(reader, counters={"nano": TemplateTokens(processor)}, quiet=True)
    encode, rows = SampleEncoder(processor), [row for row in range(30) if row not in kinds]
    assert found.tokens["nano"][rows].tolist() == [len(encode(reader[row])) for row in rows]
    assert all(found.tokens["nano"][row] == 0 for row, kind in kinds.items() if kind == "empty answer")
    assert "tokens, nano: median" in as_text(found)


def test_page_shows_images_and_escapes_text(damaged, tmp_path):
    folder, kinds = damaged
    words = ["data", "doctor", str(folder / "set.json"), "--images", str(folder / "pictures"), "--model", "nano"]
    done = CliRunner().invoke(app, [*words, "--page", str(tmp_path / "x.html"), "--json", str(tmp_path / "x.json")])
    assert done.exit_code == 0, done.output
    page = (tmp_path / "x.html").read_text()
    for kind in DAMAGES:
        assert f"<h2>{kind}</h2>" in page
    assert page.count("data:image/jpeg;base64") == sum(
        kind == "picture of an evaluation set" for kind in kinds.values()
    )
    assert "Tokens, nano" in page
    written = json.loads((tmp_path / "x.json").read_text())
    assert {issue["row"] for issue in written["issues"]} == set(kinds)
    assert written["finds"] == written["issues"]
    assert sum(written["lengths"]["characters"].values()) == 240 - sum(
        not k.startswith(("missing", "zero", "broken or", "over", "not a p", "picture of")) for k in kinds.values()
    )
    (tmp_path / "b.json").write_text(json.dumps([record(0, "<script>\u202e.jpg", "<image>\nA?", "B")]))
    hostile = as_page(validate(open_reader(tmp_path / "b.json", tmp_path), quiet=True))
    assert "<script>" not in hostile
    assert "\u202e" not in hostile
    assert not re.search(r"(src|href)=.(?!data:)", hostile)


def test_invalid_options_are_one_line_errors(damaged, tmp_path):
    folder, _ = damaged
    path = str(folder / "set.json")
    for words, message in (
        (["--fix", "x.json"], "--fix writes an X.manifest for a single file"),
        (["--exclude", "nonsense"], "unknown kind of issue 'nonsense'"),
        (["--evaluation", str(tmp_path / "no")], "neither a folder"),
        (["--model", "no/"], "no such folder"),
        (["--images", str(tmp_path / "no")], "--images is"),
        (["--page", str(tmp_path / "no/x.html")], "is not a writable folder"),
        (["--json", str(tmp_path)], "is a folder; name a file"),
        (["--fix", str(tmp_path / "no/x.manifest")], "is not a writable folder"),
    ):
        done = CliRunner().invoke(app, ["data", "doctor", path, *words])
        assert (done.exit_code, message in done.stderr) == (2, True), done.stderr
    assert CliRunner().invoke(app, ["data", "doctor", str(folder / "none.json")]).exit_code == 2


def test_valid_data_has_no_issues(tmp_path):
    (tmp_path / "a.jpg").write_bytes(encoded(image(1)))
    (tmp_path / "x.json").write_text(json.dumps([record(0, "a.jpg"), record(1, "a.jpg")]))
    words = ["data", "doctor", str(tmp_path / "x.json"), "--images", str(tmp_path)]
    done = CliRunner().invoke(app, [*words, "--fix", str(tmp_path / "x.manifest")])
    assert done.exit_code == 0, done.output
    assert "excluded: 0 samples\ncharacters: " in done.stdout
    assert len(open_reader(tmp_path / "x.manifest")) == 2


def test_full_disk_is_a_one_line_error(damaged, tmp_path, monkeypatch):
    from minigemini.dataprep.validate import validation_report

    def full(found):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(validation_report, "as_page", full)
    done = CliRunner().invoke(app, ["data", "doctor", str(damaged[0] / "set.json"), "--page", str(tmp_path / "x.html")])
    assert (done.exit_code, done.stderr) == (2, "minigemini: writing: No space left on device\n")
    assert not list(tmp_path.iterdir())


def test_ctrl_c_waits_for_no_worker():
    program = """
import time
from minigemini.dataprep.parallel import run_tasks
try:
    for done in run_tasks(time.sleep, [0, *[60] * 9], 2):
        print("working", flush=True)
except KeyboardInterrupt:
    print("stopped")
"""
    running = subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, stdout=-1, stderr=-1, text=True, start_new_session=True
    )
    assert running.stdout.readline() == "working\n"
    os.killpg(running.pid, signal.SIGINT)  # as a terminal does
    out, err = running.communicate(timeout=30)
    assert (out, err) == ("stopped\n", "")


def _die(task: int) -> int:
    import os

    if task == 3:
        os.kill(os.getpid(), 9)
    return task


def test_results_are_ordered_and_a_killed_worker_is_reported():
    assert list(run_tasks(str, range(50), 2)) == [str(n) for n in range(50)]
    with pytest.raises(ParallelError, match="a worker was killed"):
        list(run_tasks(_die, range(9), 2))


def test_fixing_a_built_folder_is_refused(tmp_path):
    done = CliRunner().invoke(app, ["data", "doctor", str(tmp_path), "--fix", str(Path(tmp_path, "x.manifest"))])
    assert done.exit_code == 2

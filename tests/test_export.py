"""Builds: valid samples in order, bad samples listed, and bytes that depend on nothing else."""

import hashlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import islice
from pathlib import Path

import native_files
import numpy as np
import pytest
from damaged_data import encoded, fabricate, image, record
from PIL import Image, ImageDraw, ImageFont
from typer.testing import CliRunner

from minigemini.cli.app import app
from minigemini.data.readers import SourceError, open_reader
from minigemini.data.schema import SampleError
from minigemini.dataprep.export import BuildError, BuildPart, BuildRecipe, build, read_recipe
from minigemini.dataprep.export.target import Target

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def damaged(tmp_path_factory):
    folder = tmp_path_factory.mktemp("damaged")
    kinds = fabricate(folder, 240, 40, 0.1)
    kinds = {row: kind for row, kind in kinds.items() if kind not in ("not JSON", "picture of an evaluation set")}
    lines = (folder / "set.json").read_text()[1:-1].split(",\n")
    (folder / "set.jsonl").write_text("\n".join(lines))
    return folder, kinds | {n: "not JSON" for n, line in enumerate(lines) if '"value" ' in line}


def recipe_of(folder: Path, **changes) -> BuildRecipe:
    part = BuildPart(file=str(folder / "set.jsonl"), images=str(folder / "pictures"), licence="CC0-1.0", name="set")
    return BuildRecipe("test", (replace(part, **changes),), seed=5)


def digests(folder: Path) -> dict[str, str]:
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.iterdir())}


OPTIONS = {
    "parquet": {},
    "by reference": {"inside": False},
    "webdataset": {"form": "webdataset"},
    "trusted": {"trusted": True},
}


@pytest.mark.parametrize("name", OPTIONS)
def test_valid_samples_keep_their_order_and_bad_ones_are_listed(name, damaged, tmp_path):
    folder, kinds = damaged
    recipe = recipe_of(folder)
    built = build(recipe, str(tmp_path / "out"), shard_samples=50, quiet=True, **OPTIONS[name])
    order = recipe.open(folder)[0].epoch(0).tolist()
    excluded = (
        kinds
        if name != "trusted"
        else {
            r: k
            for r, k in kinds.items()
            if k not in ("zero bytes", "broken or cut off", "over a limit", "not a picture")
        }
    )
    reader = open_reader(tmp_path / "out")
    assert [reader[row].id for row in range(len(reader))] == [f"s{n}" for n in order if n not in excluded]
    issues = [json.loads(line) for line in (tmp_path / "out/faults.jsonl").read_text().splitlines()]
    assert [issue["position"] for issue in issues] == [n for n, row in enumerate(order) if row in excluded]
    assert [issue["id"] for issue in issues] == [
        f"row {row}" if kinds[row] == "not JSON" else f"s{row}" for row in order if row in excluded
    ]
    assert all(issue["reason"] and issue["source"] == "set" for issue in issues)
    assert built.index["rows"] + built.index["faulty"] == 240
    sample = reader[7]
    assert (sample.licence, sample.source, sample.origin[:10]) == ("CC0-1.0", "set", "set.jsonl#")
    original = (folder / "pictures/good" / f"{int(sample.id[1:]) % 40}.jpg").read_bytes()
    shown = sample.images[0]
    assert (shown if isinstance(shown, bytes) else shown.read_bytes()) == original
    assert isinstance(shown, bytes) is (name != "by reference")
    card = (tmp_path / "out/README.md").read_text()
    assert f"| set | {built.index['rows']:,} | CC0-1.0 |" in card
    assert not list((tmp_path / "out").glob(".*"))


@pytest.mark.parametrize("name", ["parquet", "webdataset"])
def test_bytes_do_not_depend_on_workers_or_interruptions(name, damaged, tmp_path, monkeypatch):
    folder, _ = damaged
    options = {"shard_samples": 50, "quiet": True, **OPTIONS[name]}
    build(recipe_of(folder), str(tmp_path / "a"), **options)
    build(recipe_of(folder), str(tmp_path / "b"), workers=2, **options)
    whole = digests(tmp_path / "a")
    assert digests(tmp_path / "b") == whole
    # A build that was killed at its end: one shard is missing, one cut off, and one recorded for another build.
    with monkeypatch.context() as patch:
        patch.setattr(Target, "remove", lambda self, name: None)
        build(recipe_of(folder), str(tmp_path / "c"), **options)
    (tmp_path / "c/index.json").unlink()
    names = sorted(path.name for path in (tmp_path / "c").glob("shard-*"))
    (tmp_path / "c" / names[1]).unlink()
    (tmp_path / "c" / names[2]).write_bytes(b"cut off")
    (tmp_path / "c" / f".{names[1]}.7.partial").write_bytes(b"from the killed process")
    note = tmp_path / "c/.done/00003.json"
    note.write_text(json.dumps({**json.loads(note.read_text()), "plan": "another"}))
    with pytest.raises(BuildError, match="has another build, begun and not finished"):
        build(recipe_of(folder, samples=100), str(tmp_path / "c"), **options)
    first = (tmp_path / "c" / names[0]).stat().st_mtime_ns
    build(recipe_of(folder), str(tmp_path / "c"), **options)
    assert digests(tmp_path / "c") == whole
    assert (tmp_path / "c" / names[0]).stat().st_mtime_ns == first
    (tmp_path / "c" / names[0]).write_bytes(b"damaged later")
    build(recipe_of(folder), str(tmp_path / "c"), **options)
    assert digests(tmp_path / "c") == whole
    other = build(recipe_of(folder, samples=100), str(tmp_path / "d"), **options)
    assert other.index["fingerprint"] != json.loads((tmp_path / "a/index.json").read_text())["fingerprint"]


def test_killed_build_is_resumed(damaged, tmp_path):
    folder, _ = damaged
    build(recipe_of(folder), str(tmp_path / "whole"), shard_samples=12, quiet=True)
    program = f"""
import sys; sys.path.insert(0, {str(ROOT / "tests")!r})
from pathlib import Path
from test_export import build, recipe_of
build(recipe_of(Path({str(folder)!r})), {str(tmp_path / "killed")!r}, shard_samples=12, quiet=True)
"""
    running = subprocess.Popen([sys.executable, "-c", program], cwd=ROOT)
    notes, deadline = tmp_path / "killed/.done", time.time() + 120
    while len(list(notes.glob("*.json"))) < 3 and running.poll() is None and time.time() < deadline:
        time.sleep(0.01)
    running.send_signal(signal.SIGKILL)
    assert running.wait() == -signal.SIGKILL, "the build ended before it was killed"
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "killed").glob("shard-*")}
    assert 2 <= len(kept) < 20
    build(recipe_of(folder), str(tmp_path / "killed"), shard_samples=12, quiet=True)
    reused = sum(path.stat().st_mtime_ns == written for path, written in kept.items())
    assert reused >= len(kept) - 1
    assert digests(tmp_path / "killed") == digests(tmp_path / "whole")


def test_training_resumes_exactly_on_a_moved_build(damaged, tmp_path):
    from minigemini.data.bad_samples import BadSampleLog
    from minigemini.data.encoding import Encoded
    from minigemini.data.loader import Loader
    from minigemini.data.mixture import GlobalBatches, Mixture, Part

    folder, _ = damaged
    build(recipe_of(folder), str(tmp_path / "out"), shard_samples=50, quiet=True)

    def loader() -> Loader:
        batches = GlobalBatches(Mixture([Part(open_reader(tmp_path / "out"))], 3), 8, 4)
        number = lambda sample: Encoded(*(np.array([int(sample.id[1:])]),) * 2)  # noqa: E731
        return Loader(
            batches, number, lambda group: [int(e.input_ids[0]) for e in group], BadSampleLog(tmp_path / "f", 1.0)
        )

    whole = list(loader())
    begun = loader()
    first = list(islice(begun, 5))
    shutil.copytree(tmp_path / "out", tmp_path / "elsewhere/out")
    going_on = loader()
    going_on.load_state_dict(begun.state_dict())
    assert first + list(going_on) == whole


def test_damaged_build_is_refused(damaged, tmp_path):
    folder, _ = damaged
    build(recipe_of(folder), str(tmp_path / "out"), shard_samples=50, quiet=True)
    shard = tmp_path / "out/shard-00001.parquet"
    shard.write_bytes(shard.read_bytes()[:-1])
    with pytest.raises(SourceError, match=r"shard-00001.parquet has .* bytes, but index.json lists"):
        open_reader(tmp_path / "out")
    shard.unlink()
    with pytest.raises(SourceError, match=r"shard-00001.parquet is missing"):
        open_reader(tmp_path / "out")
    (tmp_path / "out/index.json").write_text("[]")
    with pytest.raises(SourceError, match="is not an index"):
        open_reader(tmp_path / "out")


def test_datasets_reads_a_build(damaged, tmp_path):
    datasets = pytest.importorskip("datasets")
    folder, _ = damaged
    build(recipe_of(folder), str(tmp_path / "out"), shard_samples=100, quiet=True)
    files = sorted(str(path) for path in (tmp_path / "out").glob("*.parquet"))
    table = datasets.load_dataset("parquet", data_files=files, split="train", cache_dir=str(tmp_path / "cache"))
    reader = open_reader(tmp_path / "out")
    assert len(table) == len(reader)
    assert table[3]["id"] == reader[3].id
    assert table[3]["images"][0].size == (96, 72)
    assert table[3]["messages"][1]["content"][0]["text"] == f"It is number {reader[3].id[1:]}."


def test_build_in_object_storage(damaged, tmp_path):
    import fsspec

    folder, _ = damaged
    options = {"shard_samples": 100, "quiet": True}
    build(recipe_of(folder), str(tmp_path / "out"), **options)
    for _ in range(2):  # the second run finds a complete build
        build(recipe_of(folder), "memory://bucket/out", **options)
    system = fsspec.filesystem("memory")
    names = sorted(Path(name).name for name in system.ls("/bucket/out", detail=False))
    assert names == sorted(digests(tmp_path / "out"))
    assert {name: hashlib.sha256(system.cat_file(f"/bucket/out/{name}")).hexdigest() for name in names} == digests(
        tmp_path / "out"
    )


def read_size():
    return lambda image: [f"{image.width} wide", "<image>", f"{image.height} high"]


@pytest.mark.parametrize("workers", [1, 2])
def test_ocr_text_is_added_to_the_paper_s_ocr_sources(workers, tmp_path):
    data = tmp_path / "data"
    native_files.lima(data, 3)
    native_files.docvqa(data, 3, questions=2)
    (data / "MGM-Finetune/docvqa/images").mkdir()
    for n in range(3):
        (data / f"MGM-Finetune/docvqa/images/p{n}_1.png").write_bytes(encoded(image(n), "PNG"))
    recipe = BuildRecipe("x", (BuildPart(source="docvqa"), BuildPart(source="lima")))
    build(recipe, str(tmp_path / "out"), data=data, readers=read_size, shard_samples=3, workers=workers, quiet=True)
    reader = open_reader(tmp_path / "out")
    for row in range(6):
        texts = ["".join(part.get("text", "") for part in m["content"]) for m in reader[row].messages]
        first = reader[row].source == "docvqa"
        assert [("\nReference OCR Token: 96 wide, 72 high\n" in text) for text in texts] == [first] + [False] * (
            len(texts) - 1
        )


def test_ocr_option_adds_recognized_text(tmp_path):
    data = tmp_path / "data"
    native_files.docvqa(data, 1, questions=1)
    (data / "MGM-Finetune/docvqa/images").mkdir()
    page = Image.new("RGB", (640, 160), "white")
    ImageDraw.Draw(page).text((40, 40), "TOTAL 4711", "black", ImageFont.load_default(64))
    page.save(data / "MGM-Finetune/docvqa/images/p0_1.png")
    (tmp_path / "r.toml").write_text('[[part]]\nsource = "docvqa"\n')
    words = ["data", "build", str(tmp_path / "r.toml"), str(tmp_path / "out"), "--data", str(data), "--ocr"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    question, _ = open_reader(tmp_path / "out")[0].messages
    text = "".join(part.get("text", "") for part in question["content"])
    assert re.search(r"\nReference OCR Token: TOTAL ?4711\n", text)
    other = CliRunner().invoke(app, [*words, "--ocr-confidence", "0.9"])
    assert other.exit_code == 2
    assert "another build" in other.output
    assert CliRunner().invoke(app, [*words, "--ocr-confidence", "2"]).exit_code == 2


def test_toml_recipe_with_sources_and_files(tmp_path):
    data, own = tmp_path / "data", tmp_path / "own"
    native_files.lima(data, 5)
    native_files.docvqa(data, 4)
    (data / "MGM-Finetune/docvqa/images").mkdir()
    (own / "pictures").mkdir(parents=True)
    for n in range(4):
        (data / f"MGM-Finetune/docvqa/images/p{n}_1.png").write_bytes(encoded(image(n), "PNG"))
        (own / f"pictures/{n}.jpg").write_bytes(encoded(image(n)))
    (own / "mine.json").write_text(json.dumps([record(n, f"{n}.jpg") for n in range(4)]))
    (own / "mix.toml").write_text(
        'name = "mine"\nseed = 7\n[[part]]\nsource = "docvqa"\nsamples = 3\n[[part]]\nsource = "lima"\n'
        '[[part]]\nfile = "mine.json"\nimages = "pictures"\nweight = 2\nlicence = "CC-BY-4.0"\n'
    )
    done = CliRunner().invoke(
        app, ["data", "build", str(own / "mix.toml"), str(tmp_path / "out"), "--data", str(data), "--reference"]
    )
    assert done.exit_code == 0, done.output
    index = json.loads((tmp_path / "out/index.json").read_text())
    assert {part["source"]: part["samples"] for part in index["sources"]} == {"docvqa": 3, "lima": 5, "mine": 8}
    assert {part["source"]: part["licence"] for part in index["sources"]}["mine"] == "CC-BY-4.0"
    reader = open_reader(tmp_path / "out")
    assert all(image.is_file() for row in range(len(reader)) for image in reader[row].images)
    words = [
        "data",
        "build",
        str(own / "mix.toml"),
        str(tmp_path / "fewer"),
        "--data",
        str(data),
        "--without",
        "docvqa",
    ]
    assert CliRunner().invoke(app, words).exit_code == 0
    assert json.loads((tmp_path / "fewer/index.json").read_text())["rows"] == 13


def test_build_of_a_manifest_works_from_any_folder(damaged, tmp_path, monkeypatch):
    folder, _ = damaged
    reader = open_reader(folder / "set.jsonl", folder / "pictures")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        words = ["data", "doctor", "set.jsonl", "--images", "pictures", "--fix", "set.manifest"]
        assert CliRunner().invoke(app, words).exit_code == 0
        built = build(read_recipe("set.manifest"), str(tmp_path / "out"), inside=False, quiet=True)
        assert not built.issues
        # A build is a source of another build.
        again = build(read_recipe(str(tmp_path / "out")), str(tmp_path / "again"), inside=False, quiet=True)
    assert built.index["rows"] == again.index["rows"] == len(open_reader(folder / "set.manifest"))
    monkeypatch.chdir(tmp_path)
    shown = open_reader(Path("again"))[3]
    assert shown.images[0].is_file()
    assert shown.id in {reader[row].id for row in range(240) if row not in damaged[1]}


INVALID_RECIPES = {
    "no recipe": ("nothing.toml", None, "neither a file nor a mixture; mixtures are MGM-Pretrain"),
    "no TOML": ("x.toml", "= 3", "is not TOML"),
    "no part": ("x.toml", 'name = "x"', "at least one"),
    "unknown": ("x.toml", "sede = 3", "unknown sede"),
    "unknown in a part": ("x.toml", "[[part]]\nfil = 'x'", "part 1 has unknown fil"),
    "wrong type": ("x.toml", "[[part]]\nfile = 'x'\nsamples = 'many'", "samples = 'many' has the wrong type"),
    "both": ("x.toml", "[[part]]\nfile = 'x'\nsource = 'lima'", "either a source or a file"),
    "no list": ("x.toml", "part = 3", "at least one"),
    "none of it": ("x.toml", "[[part]]\nfile = 'x'\nsamples = -1", "samples = -1: must be above 0"),
    "weightless": ("x.toml", "[[part]]\nfile = 'x'\nweight = nan", "weight = nan: must be above 0"),
    "no source": ("x.toml", "[[part]]\nsource = 'limma'", "unknown source 'limma'"),
}


@pytest.mark.parametrize("name", INVALID_RECIPES)
def test_invalid_recipes_are_refused(name, tmp_path):
    path, content, message = INVALID_RECIPES[name]
    if content is not None:
        (tmp_path / path).write_text(content)
    with pytest.raises(BuildError, match=message):
        read_recipe(str(tmp_path / path))


def test_invalid_options_are_one_line_errors(damaged, tmp_path):
    folder, _ = damaged
    path, images = str(folder / "set.jsonl"), ["--images", str(folder / "pictures")]
    (tmp_path / "full").mkdir()
    (tmp_path / "full/thesis.txt").touch()
    (tmp_path / "theirs").mkdir()
    (tmp_path / "theirs/shard-00000.parquet").touch()
    (tmp_path / "bad.jsonl").write_text("{}")
    for words, message in (
        ([path, str(tmp_path / "full"), *images], "contains thesis.txt, but no build"),
        ([path, str(tmp_path / "x"), *images, "--form", "zip"], "give parquet or webdataset"),
        ([path, str(tmp_path / "x"), *images, "--form", "webdataset", "--reference"], "contain their images"),
        ([path, str(tmp_path / "x"), *images, "--without", "lima"], "has no part 'lima'"),
        ([path, str(tmp_path / "x"), *images, "--without", "set"], "has no part left"),
        ([path, str(tmp_path / "x"), "--images", str(tmp_path / "gone")], "gone: no such folder"),
        ([path, str(tmp_path / "theirs"), *images], "contains shard-00000.parquet, but no build"),
        ([path, path, *images], "Not a directory"),
        ([str(tmp_path / "bad.jsonl"), str(tmp_path / "nothing")], "no valid samples"),
        (["MGM-Pretrain", str(tmp_path / "x"), "--data", str(tmp_path)], "minigemini data fetch llava-pretrain"),
        ([path, "what://x", *images], "Protocol not known"),
        ([path, str(tmp_path / "x")], "give --images FOLDER"),
    ):
        done = CliRunner().invoke(app, ["data", "build", *words])
        assert (done.exit_code, message in done.stderr) == (2, True), (words, done.stderr)
    build(recipe_of(folder), str(tmp_path / "x"), quiet=True)
    with pytest.raises(BuildError, match="has another build"):
        build(replace(recipe_of(folder), seed=6), str(tmp_path / "x"), quiet=True)


def test_lone_surrogate_is_an_issue(tmp_path):
    (tmp_path / "x.jsonl").write_text(
        json.dumps(record(0, None, "What?", "\ud83d")) + "\n" + json.dumps(record(1, None, "A?", "B"))
    )
    reader = open_reader(tmp_path / "x.jsonl")
    with pytest.raises(SampleError, match="a lone surrogate"):
        reader[0]
    built = build(
        BuildRecipe("x", (BuildPart(file=str(tmp_path / "x.jsonl"), name="x"),)), str(tmp_path / "out"), quiet=True
    )
    assert (built.index["rows"], built.index["faulty"]) == (1, 1)
    assert os.listdir(tmp_path / "out")

"""Declared sources are complete, and each native format is converted field by field."""

import json
import re
from pathlib import Path

import native_files
import pytest
from typer.testing import CliRunner

from minigemini.cli.app import app
from minigemini.data.readers import SourceError
from minigemini.dataprep.formats import FORMATS, open_source
from minigemini.dataprep.formats.records import LETTER_ANSWER, SHORT_ANSWER
from minigemini.dataprep.sources import MIXTURES, SOURCES

IMAGE = {"type": "image"}


def texts_of(sample) -> list[str]:
    return ["".join(part.get("text", "<image>") for part in message["content"]) for message in sample.messages]


def test_source_table_is_complete():
    assert {name for parts in MIXTURES.values() for name in parts} <= set(SOURCES)
    for source in SOURCES.values():
        assert source.format in FORMATS or source.stage == "evaluation"
        assert source.records, f"{source.name} has no file that holds records"
        assert source.page.startswith("https://")
        for file in source.files:
            assert bool(file.url) != bool(file.by_hand), file
            assert not Path(file.path).is_absolute()
            assert ".." not in Path(file.path).parts
            assert file.sha256 is None or re.fullmatch("[0-9a-f]{64}", file.sha256)
        assert source.images is None or any(
            source.images.startswith(top) for top in ("MGM-Pretrain", "MGM-Fine", "MGM-E")
        )


def test_counts_of_the_paper():
    rounded = {"558K": 1e3, "695K": 1e3, "643K": 1e3, "100K": 5e3, "10K": 1e3, "700K": 1e3, "4K": 1e3}
    for source in SOURCES.values():
        if source.paper in rounded:
            assert abs(source.samples - float(source.paper[:-1]) * 1e3) <= rounded[source.paper], source.name
    assert SOURCES["lima"].samples + SOURCES["oasst2"].samples == 6030
    totals = [sum(SOURCES[part].samples for part in parts) for parts in MIXTURES.values()]
    assert totals == [1_253_128, 1_502_214]
    assert sum(SOURCES[name].samples for name in ("docvqa", "chartqa", "dvqa", "ai2d")) == 27_814  # the paper: 28K


def test_llava_pretrain(tmp_path):
    native_files.llava_pretrain(tmp_path, 3)
    reader = open_source(SOURCES["llava-pretrain"], tmp_path)
    sample = reader[2]
    assert len(reader) == 3
    assert (sample.id, sample.source) == ("000000002", "llava-pretrain")
    assert sample.origin == "blip_laion_cc_sbu_558k.json#2"
    assert sample.licence == SOURCES["llava-pretrain"].licence
    assert sample.messages[0] == {
        "role": "user",
        "content": [IMAGE, {"type": "text", "text": "Give a brief description."}],
    }
    assert texts_of(sample)[1] == "thing 000000002"
    assert sample.images == (tmp_path / "MGM-Pretrain/llava/LLaVA-Pretrain/images/00000/000000002.jpg",)


def test_mixture_without_textcaps_names_its_records(tmp_path):
    native_files.mix665k(tmp_path, 1e-4)
    reader = open_source(SOURCES["llava-mix665k"], tmp_path)
    sizes = {folder: round(count * 1e-4) for folder, count in native_files.MIX.items()}
    assert len(reader) == sum(sizes.values()) - sizes["textvqa/train_images"]
    assert not any("textvqa" in str(image) for row in range(len(reader)) for image in reader[row].images)
    first_after = sum(sizes[folder] for folder in ("coco/train2017", "gqa/images", "ocr_vqa/images"))
    assert reader[first_after].origin == f"llava_v1_5_mix665k.json#{first_after + sizes['textvqa/train_images']}"
    assert reader[first_after].images == (tmp_path / "MGM-Finetune/vg/VG_100K/000000000000.jpg",)
    text = reader[len(reader) - 1]
    assert text.images == ()
    assert texts_of(text) == ["What is 3?", "3", "And now?", "The same."]


@pytest.mark.parametrize(("name", "kind"), [("allava-captions", "cap"), ("allava-instruct", "inst")])
def test_allava_is_two_lists(name, kind, tmp_path):
    native_files.allava(tmp_path, name, 4, 3)
    reader = open_source(SOURCES[name], tmp_path)
    assert [reader[row].id for row in (0, 4)] == [f"allava_laion_{kind}_0", f"allava_vflan_{kind}_0"]
    root = tmp_path / SOURCES[name].images
    assert reader[6].images == (root / "allava_vflan/images/images_191task_1k/2.jpeg",)
    assert reader[3].images == (root / "allava_laion/images/3.jpeg",)
    assert reader.images.tolist() == [1] * 7


def test_sharegpt4v(tmp_path):
    native_files.sharegpt4v(tmp_path, 8)
    reader = open_source(SOURCES["sharegpt4v"], tmp_path)
    assert len(reader) == 8
    assert reader[3].images == (tmp_path / "MGM-Finetune/share_textvqa/images/0000003.jpg",)
    assert texts_of(reader[1]) == ["<image>Describe it.", "In it: 0000001."]


def test_laion_excludes_rows_without_image(tmp_path):
    native_files.laion_gpt4v(tmp_path, 9, dead=[0, 4])
    reader = open_source(SOURCES["laion-gpt4v"], tmp_path)
    assert [reader[row].id for row in range(len(reader))] == [f"gpt4v-{n}" for n in (1, 2, 3, 5, 6, 7, 8)]
    sample = reader[1]
    assert sample.images == (tmp_path / "MGM-Finetune/gpt4v-dataset/images/2.png",)
    assert sample.origin == "train.parquet#2"
    assert texts_of(sample)[1] == "A caption of 2."
    asked = {texts_of(reader[row])[0] for row in range(len(reader))}
    assert len(asked) > 1
    again = open_source(SOURCES["laion-gpt4v"], tmp_path)
    assert {texts_of(again[row])[0] for row in range(len(again))} == asked


def test_lima_contains_question_answer_pairs(tmp_path):
    native_files.lima(tmp_path, 4)
    reader = open_source(SOURCES["lima"], tmp_path)
    assert [texts_of(reader[row]) for row in range(4)] == [
        ["question 0", "answer 0"],
        ["question 1", "answer 1"],
        ["question 2", "answer 2", "and?", "more 2"],
        ["question 3", "answer 3", "and?", "more 3"],
    ]
    assert (reader[3].id, reader[3].origin, reader[3].images) == ("lima-3", "train.jsonl#3", ())


def test_oasst2_takes_the_best_path_of_english_trees(tmp_path):
    native_files.oasst2(tmp_path, 2, others=3)
    reader = open_source(SOURCES["oasst2"], tmp_path)
    assert len(reader) == 2
    assert (reader[1].id, reader[1].licence) == ("oasst2-tree-1", "Apache-2.0")
    assert texts_of(reader[1]) == ["said 1.q", "said 1.b", "said 1.c", "said 1.d"]


def test_docvqa_has_one_conversation_per_page(tmp_path):
    native_files.docvqa(tmp_path, 3, questions=2)
    reader = open_source(SOURCES["docvqa"], tmp_path)
    assert [reader[row].id for row in range(len(reader))] == ["docvqa-p0_1", "docvqa-p1_1", "docvqa-p2_1"]
    assert texts_of(reader[1]) == [f"<image>What is line 1?\n{SHORT_ANSWER}", "1/8/93", "What is line 4?", "4/8/93"]
    assert reader[1].images == (tmp_path / "MGM-Finetune/docvqa/images/p1_1.png",)


def test_chartqa_and_dvqa(tmp_path):
    native_files.chartqa(tmp_path, 2)
    reader = open_source(SOURCES["chartqa"], tmp_path)
    assert texts_of(reader[1]) == [f"<image>How high is 2?\n{SHORT_ANSWER}", "2.5", "How high is 3?", "3.5"]
    assert reader[1].images == (tmp_path / "MGM-Finetune/chartqa/ChartQA Dataset/train/png/1.png",)
    native_files.dvqa(tmp_path, 3)
    reader = open_source(SOURCES["dvqa"], tmp_path)
    assert texts_of(reader[2]) == [f"<image>How many bars 0?\n{SHORT_ANSWER}", "2", "How many bars 1?", "2"]
    assert reader[2].images == (tmp_path / "MGM-Finetune/dvqa/images/bar_train_00000002.png",)


def test_ai2d_has_no_test_diagrams(tmp_path):
    native_files.ai2d(tmp_path, 12, test=4)
    reader = open_source(SOURCES["ai2d"], tmp_path)
    samples = {reader[row].id: reader[row] for row in range(len(reader))}
    assert list(samples) == [f"ai2d-{n}" for n in range(4, 12)]
    choices = "A. leaf\nB. stem\nC. root\nD. eye"
    assert texts_of(samples["ai2d-6"]) == [f"<image>What is 6?\n{choices}\n{LETTER_ANSWER}", "C"]
    root = tmp_path / "MGM-Finetune/ai2d"
    assert samples["ai2d-6"].images == (root / "images/6.png",)
    assert samples["ai2d-5"].images == (root / "abc_images/5.png",)  # it has questions about letters alone


def test_sampling_depends_on_the_seed_only(tmp_path, monkeypatch):
    from dataclasses import replace

    native_files.dvqa(tmp_path, 40)
    native_files.allava(tmp_path, "allava-captions", 20, 20)
    for name, take in (("dvqa", 10), ("allava-captions", 30)):
        source = replace(SOURCES[name], take=take)
        ids = [
            [reader[row].id for row in range(len(reader))]
            for reader in (open_source(source, tmp_path, n) for n in (0, 0, 1))
        ]
        assert ids[0] == ids[1] != ids[2]
        assert len(set(ids[0])) == len(ids[0]) == take


BROKEN = {
    "docvqa": ('{"data": [{"image": "a.png", "question": "?"}]}', "record 0 has another format"),
    "chartqa": ('[{"imgname": "a"}]', "record 0 has another format"),
    "lima": ('{"conversations": ["a", "b"]}\n{"conv', "truncated or not JSON Lines"),
    "oasst2": ("no gzip", "truncated or not JSON Lines"),
    "laion-gpt4v": ("no parquet", "lacks columns caption and link"),
    "llava-pretrain": ("{}", "is not a JSON list"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_files_of_another_format_are_one_line_errors(name, tmp_path):
    content, words = BROKEN[name]
    path = tmp_path / SOURCES[name].records[0].path
    path.parent.mkdir(parents=True)
    path.write_text(content)
    with pytest.raises(SourceError, match=words):
        open_source(SOURCES[name], tmp_path)


def test_missing_file_names_how_to_get_it(tmp_path):
    with pytest.raises(SourceError, match="minigemini data fetch lima"):
        open_source(SOURCES["lima"], tmp_path)
    with pytest.raises(SourceError, match="after registration"):
        open_source(SOURCES["docvqa"], tmp_path)
    with pytest.raises(SourceError, match="is an evaluation set"):
        open_source(SOURCES["textvqa-val"], tmp_path)


def test_data_list():
    run = CliRunner().invoke
    assert "allava-captions" in run(app, ["data", "list"]).stdout
    assert "MGM-Instruction: 1,502,214 samples" in run(app, ["data", "list"]).stdout
    one = run(app, ["data", "list", "chartqa"]).stdout
    assert "GPL-3.0" in one
    assert "875,370,872 bytes, sha256 1bf310" in one
    records = json.loads(run(app, ["data", "list", "--json"]).stdout)
    assert {record["name"] for record in records} == set(SOURCES)
    wrong = run(app, ["data", "list", "alava"])
    assert wrong.exit_code == 2
    assert "did you mean allava" in wrong.stderr

"""Previews show samples as training tokenizes them."""

import html
import json
import re

import pytest
from damaged_data import encoded, image, record
from PIL import Image
from typer.testing import CliRunner

from minigemini.cli.app import app
from minigemini.data.encoding import SampleEncoder
from minigemini.data.readers import open_reader
from minigemini.dataprep.preview import COLUMNS, draw_sheet, pick, tokens
from minigemini.io.loading import find_processor


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shown")
    for n in range(8):
        (folder / f"{n}.jpg").write_bytes(encoded(image(n)))
    (folder / "7.jpg").write_bytes(b"")
    records = [record(n, f"{n}.jpg", "<image>\nWhat is <b>it</b>?", f"Café № {n} \U0001f600.") for n in range(8)]
    records += [record(8, None, "No image?", "None."), record(9, None, "Broken?", "")]
    (folder / "x.json").write_text(json.dumps(records))
    return folder


def test_tokens_match_training(folder):
    reader, encoder = open_reader(folder / "x.json", folder), SampleEncoder(find_processor("nano"))
    pieces = list(tokens(reader[3], encoder))
    encoded_sample = encoder(reader[3])
    visual = encoder.processor.num_image_tokens
    assert len(pieces) == len(encoded_sample) - visual + 1
    assert f"<i>{visual} visual tokens</i>" in "".join(pieces)
    learned = "".join(re.findall(r'<span class="learned">(.*?)</span>', "".join(pieces), re.DOTALL))
    wanted = encoder.processor.tokenizer.decode(encoded_sample.input_ids[encoded_sample.labels != -100])
    assert html.unescape(learned) == wanted
    assert sum("learned" in piece for piece in pieces) == int((encoded_sample.labels != -100).sum())
    rest = html.unescape(re.sub(r"<[^>]*>", "", "".join(pieces)))
    assert "What is <b>it</b>?" in rest


def test_page_and_contact_sheet(folder, tmp_path):
    words = ["data", "show", str(folder / "x.json"), "--images", str(folder), "--first"]
    files = ["--page", str(tmp_path / "p.html"), "--sheet", str(tmp_path / "s.png")]
    done = CliRunner().invoke(app, [*words, *files])
    assert done.exit_code == 0, done.output
    page = (tmp_path / "p.html").read_text()
    assert page.count("data:image/jpeg;base64") == 7
    assert page.count('class="sample"') == 10
    assert "file is empty (0 bytes)" in page
    assert "empty answer" in page
    assert "<b>it</b>" not in page
    sheet = Image.open(tmp_path / "s.png")
    assert sheet.width > COLUMNS * 180
    assert len(sheet.getcolors(2**24)) > 1000


def test_picked_samples(folder):
    reader = open_reader(folder / "x.json", folder)
    assert [one.row for one in pick(reader, 3, None)] == [0, 1, 2]
    drawn = [one.row for one in pick(reader, 4)]
    assert drawn == sorted(drawn) == [one.row for one in pick(reader, 4)] != [one.row for one in pick(reader, 4, 1)]
    assert len(pick(reader, 99)) == 10
    assert draw_sheet([]).size == draw_sheet(pick(reader, 2, None)).size


def test_invalid_options_are_one_line_errors(folder):
    path = str(folder / "x.json")
    for words, message in (
        ([path, "--sheet", "x.bmp"], "must end in .png or .jpg"),
        ([path, "--model", "no/"], "no such folder"),
        ([str(folder / "none.json")], "no such file"),
        ([path, "--images", str(folder / "none")], "--images is"),
        ([path, "--page", str(folder / "none/x.html")], "is not a writable folder"),
        ([path, "--sheet", str(folder / "none/x.png")], "is not a writable folder"),
    ):
        done = CliRunner().invoke(app, ["data", "show", *words])
        assert (done.exit_code, message in done.stderr) == (2, True), (words, done.stderr)

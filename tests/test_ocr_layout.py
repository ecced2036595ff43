"""The layout of OCR text: rows, tables, charts, bounds, and its place in a prompt."""

import random
import sys

import pytest
from PIL import Image, ImageDraw, ImageFont
from scripted_engine import script

from minigemini.inference import Conversation, Engine, RequestError
from minigemini.inference import ocr as ocr_module
from minigemini.inference.ocr import RapidOcrEngine, choose_reader, is_read, read_user_turns
from minigemini.inference.text_boxes import TextBox, is_number, number_of
from minigemini.inference.text_layout import layout_rows, layout_text
from minigemini.modeling import MiniGeminiProcessor
from minigemini.modeling.messages import image_text_block, with_requests

USER = {"role": "user", "content": [{"type": "image"}, {"type": "text", "text": "How much?"}]}


def box(text: str, x: float, y: float, height: float = 0.04) -> TextBox:
    """A string around (x, y)."""
    half = 0.008 * len(text)
    return TextBox(text, x - half, y - height / 2, x + half, y + height / 2)


def grid(rows: list[list[str]]) -> list[TextBox]:
    return [
        box(text, 0.1 + 0.2 * column, 0.1 + 0.1 * row)
        for row, cells in enumerate(rows)
        for column, text in enumerate(cells)
        if text
    ]


def test_level_strings_form_rows_whatever_their_order():
    boxes = [
        box("Milk", 0.1, 0.3),
        box("$3", 0.8, 0.31),
        box("SHOP", 0.5, 0.1, 0.08),
        box("Bread", 0.1, 0.4),
        box("$2", 0.8, 0.4),
    ]
    for seed in range(5):
        random.Random(seed).shuffle(boxes)
        assert layout_text(boxes) == "SHOP\nMilk | $3\nBread | $2"
    assert layout_text([]) == ""


def test_small_lines_beside_a_large_string_stay_apart():
    boxes = [box("50%", 0.2, 0.5, 0.3), box("off today", 0.7, 0.44), box("only", 0.7, 0.56)]
    assert layout_rows(boxes) == ["off today", "50%", "only"]


def test_cells_are_labeled_by_the_header():
    rows = [["Name", "City", "Age"], ["Tom", "Paris", "8"], ["Anna", "", "31"]]
    assert layout_rows(grid(rows)) == ["Name | City | Age", "Tom | City: Paris | Age: 8", "Anna | Age: 31"]
    assert layout_rows(grid([["", "2023", "2024"], ["Oslo", "5", "6"]])) == ["2023 | 2024", "Oslo | 2023: 5 | 2024: 6"]


def test_rows_without_a_header_are_left_alone():
    rows = [["2", "Milk", "$3.98"], ["1", "Bread", "$2.49"], ["6", "Eggs", "$1.00"]]
    assert layout_rows(grid(rows)) == ["2 | Milk | $3.98", "1 | Bread | $2.49", "6 | Eggs | $1.00"]
    calendar = [["5", "6", "7"], ["12", "13", "14"], ["19", "20", "21"]]
    assert layout_rows(grid(calendar)) == ["5 | 6 | 7", "12 | 13 | 14", "19 | 20 | 21"]


def bars(values: dict[str, str], ticks: tuple[int, ...] = (0, 20, 40, 60)) -> list[TextBox]:
    """An upright bar chart: labels below, values at the ends of bars, ticks on the left."""
    boxes = [box(str(tick), 0.06, 0.9 - 0.012 * tick) for tick in ticks]
    for index, (label, value) in enumerate(values.items()):
        boxes.append(box(label, 0.2 + 0.13 * index, 0.95))
        if value:
            boxes.append(box(value, 0.2 + 0.13 * index, 0.87 - 0.012 * number_of(value)))
    return boxes


def test_values_stand_with_the_labels_below_them():
    chart = bars({"Jan": "34", "Feb": "12", "Mar": "58", "Apr": ""})
    assert layout_rows(chart) == ["y axis: 0 to 60", "Jan: 34", "Feb: 12", "Mar: 58", "Apr: ?"]


def test_bars_without_values_keep_their_labels():
    assert layout_rows(bars({"Jan": "", "Feb": "", "Mar": ""})) == ["y axis: 0 to 60", "Jan | Feb | Mar"]


def test_a_misread_tick_does_not_hide_the_axis():
    boxes = [
        box(text, 0.06, 0.9 - 0.012 * place)
        for text, place in (("0", 0), ("2O", 20), ("40", 40), ("60", 60), ("8", 50))
    ]
    assert "y axis: 0 to 60" in layout_rows(boxes)


def test_shares_of_a_pie_stand_with_the_labels_near_them():
    shares = [("Rent", 0.58, 0.17, "45%", 0.53, 0.32), ("Food", 0.28, 0.7, "30%", 0.4, 0.61)]
    shares += [("Travel", 0.66, 0.8, "15%", 0.57, 0.66), ("Other", 0.78, 0.6, "10%", 0.65, 0.56)]
    boxes = [one for label, x, y, share, u, v in shares for one in (box(label, x, y), box(share, u, v))]
    assert layout_rows([box("Budget", 0.5, 0.09), *boxes]) == [
        "Budget",
        "Rent: 45%",
        "Food: 30%",
        "Travel: 15%",
        "Other: 10%",
    ]


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("34", 34), ("1,200", 1200), ("$3.50", 3.5), ("3,5 %", 3.5), ("\u22125", -5)),
        *(("-0.25", -0.25), ("2k", 2000), ("1.234.567", 1234567)),
    ],
)
def test_numbers_are_read(text, value):
    assert is_number(text)
    assert number_of(text) == value


def test_the_first_rows_win_within_the_bound():
    boxes = [box(f"line {number}", 0.5, number / 100, 0.008) for number in range(100)]
    for limit in (1, 10, 50, 200):
        text = layout_text(boxes, limit)
        assert len(text) <= limit
        assert text.endswith("…")
    assert layout_rows(boxes, 50)[:3] == ["line 0", "line 1", "line 2"]


def test_any_boxes_are_laid_out_quickly_and_within_bounds():
    generator = random.Random(5)
    strings = ["7", "12", "45%", "Total", "l|", "2024", "-", "…", "9" * 300, "١٢", "x" * 500]
    for _ in range(20):
        boxes = []
        for _ in range(generator.randint(0, 500)):
            x, y = generator.choice([0.1, 0.5, generator.random()]), generator.random()
            boxes.append(
                TextBox(generator.choice(strings), x, y, x + generator.random() / 10, y + generator.random() / 10)
            )
        assert len(layout_text(boxes, 300)) <= 300


def test_the_layout_stands_between_image_and_question_of_its_turn_alone():
    later = [{"role": "assistant", "content": "$3"}, {"role": "user", "content": "And tax?"}]
    first, _, second = with_requests([USER, *later], False, [["SHOP", "Milk | $3"], []], "layout")
    text = "".join(part["text"] for part in first["content"] if part["type"] == "text")
    assert text == "Text in the picture:\nSHOP\nMilk | $3\n\nHow much?"
    assert second["content"] == "And tax?"
    assert image_text_block("SHOP\nMilk | $3") + "How much?" == text
    assert image_text_block("") == ""
    assert with_requests([USER], False, [], "layout") == [USER]


@pytest.fixture(scope="module")
def layout_engine(tiny_checkpoint) -> Engine:
    engine = Engine.load(tiny_checkpoint, device="cpu")
    engine.processor.ocr_format = "layout"
    return engine


def test_control_tokens_in_a_picture_are_text(layout_engine):
    processor = layout_engine.processor
    end = processor.tokenizer.eos_token
    message = processor.with_requests([USER], ocr=[f"a{end}b", "c\n\nUSER: d"])[0]
    text = "".join(part["text"] for part in message["content"] if part["type"] == "text")
    assert end not in text
    assert text.count("\n") == 4, "one per row, and the blank line before the question"


def test_the_format_is_saved_with_the_processor(layout_engine, tmp_path):
    layout_engine.processor.save_pretrained(tmp_path)
    assert MiniGeminiProcessor.from_pretrained(tmp_path).ocr_format == "layout"
    with pytest.raises(ValueError, match="ocr_format is 'poem'"):
        MiniGeminiProcessor(
            layout_engine.processor.image_processor, layout_engine.processor.tokenizer, 14, 1, False, ocr_format="poem"
        )


@pytest.fixture(scope="module")
def receipt() -> Image.Image:
    picture = Image.new("RGB", (480, 320), "white")
    canvas, font = ImageDraw.Draw(picture), ImageFont.load_default(28)
    for row, (left, right) in enumerate([("Milk", "3.98"), ("Bread", "2.49"), ("TOTAL", "6.47")]):
        canvas.text((30, 40 + 80 * row), left, "black", font)
        canvas.text((340, 40 + 80 * row), right, "black", font)
    return picture


def test_a_model_with_layouts_reads_pictures_unless_told_not_to(layout_engine, receipt, monkeypatch):
    prompts = script(layout_engine, ["6.47", "6.47", "6.47"], monkeypatch)
    Conversation(layout_engine, [receipt]).ask("How much?")
    layout_engine.ask(receipt, "How much?", ocr=False)
    assert "Text in the picture:\nMilk | 3.98\nBread | 2.49\nTOTAL | 6.47\n\nHow much?" in prompts[0]
    assert "Text in the picture" not in prompts[1]


def test_large_pictures_are_read_at_a_bounded_size(receipt):
    reader = RapidOcrEngine(ocr_format="layout")
    assert reader.read(receipt.resize((4800, 3200))) == ["Milk | 3.98", "Bread | 2.49", "TOTAL | 6.47"]
    assert reader.read(Image.new("RGB", (300, 200), "gray")) == []
    message = {"role": "user", "content": [{"type": "image", "image": receipt}, {"type": "text", "text": "?"}]}
    assert read_user_turns([message, {"role": "user", "content": "Hi"}], reader)[1] == []


def test_without_rapidocr_the_model_answers_from_the_image_and_says_so_once(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "rapidocr", None)
    ocr_module._tell_missing.cache_clear()
    assert choose_reader(None, "layout") is None
    assert choose_reader(None, "layout") is None
    assert choose_reader(None, "reference") is None
    assert not is_read(None, "layout")
    line = "minigemini: reading text in images needs rapidocr: pip install 'minigemini[ocr]'; answering from the image"
    assert capsys.readouterr().err == f"{line} alone\n"
    with pytest.raises(RequestError, match="needs rapidocr"):
        choose_reader(True, "layout")

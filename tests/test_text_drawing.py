"""Text in figures fits its place, whatever it is."""

import pytest

from minigemini.images.text_drawing import ELLIPSIS, figure_font, fit_lines

FONT = figure_font(16)


@pytest.mark.parametrize(
    "text",
    ["What does the sign say? " * 9, "a" * 999, "中文" * 200, "one\n\ttwo \x1b[31m\u202e three " * 20, "W i" * 99],
)
@pytest.mark.parametrize("lines", [1, 3])
def test_lines_fit(text, lines):
    fitted = fit_lines(text, FONT, 200, lines)
    assert len(fitted) == lines
    assert all(FONT.getlength(line) <= 200 for line in fitted)
    assert fitted[-1].endswith(ELLIPSIS)
    assert "".join(fitted).isprintable()


def test_short_texts_stay_whole_and_break_between_words():
    assert fit_lines("", FONT, 200, 2) == []
    assert fit_lines("  a  sign ", FONT, 200, 2) == ["a sign"]
    text = "What is the name of the shop on the corner?"
    fitted = fit_lines(text, FONT, 150, 9)
    assert " ".join(fitted) == text
    assert len(fitted) > 1


def test_a_width_below_one_character_ends():
    assert fit_lines("abc", FONT, 1, 5) == ["a", "b", "c"]

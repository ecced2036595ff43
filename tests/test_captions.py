"""Captions in answers: visible text and captions, which do not depend on how the answer is split into pieces."""

import random

import pytest

from minigemini.imagegen.captions import CaptionParser, read_captions

CASES = {
    "a caption at the end": ("Here it is. <h>a red house</h>", "Here it is.", ["a red house"]),
    "nothing but a caption": ("<h>a red house</h>", "", ["a red house"]),
    "no caption": ("I cannot draw that.", "I cannot draw that.", []),
    "text behind it": ("Look: <h>a cat</h> I hope you like it.", "Look: I hope you like it.", ["a cat"]),
    "a line of its own": ("Look:\n<h>a cat</h>\nNice?", "Look:\nNice?", ["a cat"]),
    "a paragraph of its own": ("Look:\n\n<h>a cat</h>\nNice?", "Look:\n\nNice?", ["a cat"]),
    "between words": ("one<h>a cat</h>two", "one two", ["a cat"]),
    "several": ("One <h>a cat</h> two <h>a dog</h>", "One two", ["a cat", "a dog"]),
    "blanks and line ends in it": ("<h>\n a   red\nhouse </h>", "", ["a red house"]),
    "empty": ("Nothing: <h></h> <h>  \n</h>.", "Nothing: .", []),
    "never closed": ("Here: <h>a red house", "Here:", ["a red house"]),
    "cut off in the closing tag": ("Here: <h>a red house</h", "Here:", ["a red house"]),
    "never closed, then a paragraph": ("Here: <h>a red house\n \nMore text.", "Here:\n \nMore text.", ["a red house"]),
    "nested": ("<h>a cat <h>a dog</h> run</h>", "run", ["a cat", "a dog"]),
    "closed twice": ("<h>a cat</h></h> and so on </h>", "and so on", ["a cat"]),
    "a tag within a tag": ("<<h>a cat</h>h> and </</h>h>", "< h> and </ h>", ["a cat"]),
    "less-than signs": ("1 < 2, <b>bold</b>, </hr>, <", "1 < 2, <b>bold</b>, </hr>, <", []),
    "other signs in a caption": ("<h>a <b> & `c`</h>", "", ["a <b> & `c`"]),
    "a fenced block": ("Write\n```\n<h>a cat</h>\n```\n<h>a dog</h>", "Write\n```\n<h>a cat</h>\n```", ["a dog"]),
    "a longer fence": ("````\n```\n<h>x</h>\n````\n<h>y</h>", "````\n```\n<h>x</h>\n````", ["y"]),
    "a fence with a language": ("```html\n<h>x</h>\n``` \nend", "```html\n<h>x</h>\n``` \nend", []),
    "a fence that stays open": ("```\n<h>x</h>", "```\n<h>x</h>", []),
    "code in a line": ("Write `<h>a cat</h>` like that: <h>a dog</h>", "Write `<h>a cat</h>` like that:", ["a dog"]),
    "code in two backticks": ("``a ` <h>x</h>`` <h>y</h>", "``a ` <h>x</h>``", ["y"]),
    "a backtick by itself": ("It`s here\n<h>a cat</h>", "It`s here", ["a cat"]),
    "three backticks in a line": ("see ```<h>x</h>``` <h>y</h>", "see ```<h>x</h>```", ["y"]),
    "indented text": ("a\n    b", "a\n    b", []),
}


@pytest.mark.parametrize("case", CASES)
def test_visible_text_and_captions(case):
    answer, shown, captions = CASES[case]
    assert read_captions(answer) == (shown, captions)


UNREQUESTED = {
    "a tag alone": ("</h>", ""),
    "a caption": ("<h>a red house</h>", "a red house"),
    "a caption behind text": ("Here it is. <h>a red house</h>", "Here it is. a red house"),
    "closed and never opened": ("oo cup</h>", "oo cup"),
    "opened and never closed": ("<h>a cat\n\nand more", "a cat\n\nand more"),
    "between words": ("one<h>two</h>three", "one two three"),
    "a tag within a tag": ("<<h>h> and </</h>h>", "< h> and </ h>"),
    "code": ("`<h>x</h>`", "`<h>x</h>`"),
    "other signs": ("1 < 2, <b>bold</b>, <h1>, <", "1 < 2, <b>bold</b>, <h1>, <"),
}


@pytest.mark.parametrize("case", UNREQUESTED)
def test_tags_without_a_request_are_removed(case):
    answer, shown = UNREQUESTED[case]
    assert in_pieces([answer], requested=False) == in_pieces(list(answer), requested=False) == (shown, [])
    assert in_pieces([shown], requested=False) == (shown, []), "removal is idempotent"


def test_text_without_tags_is_unchanged():
    rng = random.Random(1)
    for _ in range(2000):
        answer = "".join(rng.choices([word for word in WORDS if word not in ("<h>", "</h>")], k=rng.randrange(1, 14)))
        if "<h>" not in answer and "</h>" not in answer:
            assert in_pieces(list(answer), requested=False) == (answer.strip(), [])


def in_pieces(pieces, requested=True):
    parser = CaptionParser(requested)
    return "".join([*map(parser.feed, pieces), parser.close()]), parser.captions


@pytest.mark.parametrize("case", CASES)
def test_every_split_in_two_and_single_characters(case):
    answer = CASES[case][0]
    whole = read_captions(answer)
    assert in_pieces(list(answer)) == whole
    for cut in range(len(answer) + 1):
        assert in_pieces([answer[:cut], answer[cut:]]) == whole, (answer[:cut], answer[cut:])


WORDS = ["<h>", "</h>", "<", "h", ">", "/", "<h", "</", "`", "``", "```", "\n", "\n\n", " ", "a", "cat ", ".", "雪"]


def test_any_text_in_any_pieces():
    rng = random.Random(0)
    for _ in range(4000):
        answer = "".join(rng.choices(WORDS, k=rng.randrange(1, 14)))
        cuts = sorted(rng.choices(range(len(answer) + 1), k=rng.randrange(5)))
        pieces = [answer[start:end] for start, end in zip([0, *cuts], [*cuts, len(answer)], strict=True)]
        shown, captions = read_captions(answer)
        assert in_pieces(pieces) == (shown, captions), pieces
        assert shown == shown.strip()
        assert all(caption == " ".join(caption.split()) and caption for caption in captions)
        if "`" not in answer:
            assert not [text for text in (shown, *captions) if "<h>" in text or "</h>" in text]


def test_unambiguous_text_is_returned_at_once():
    parser = CaptionParser()
    assert parser.feed("Here it is") == "Here it is"
    assert parser.feed(": <") == ":"
    assert parser.feed("b>") == " <b>"
    assert parser.feed(" <h>a cat") == ""
    assert parser.feed("</h> Nice") == " Nice"
    assert parser.captions == ["a cat"]

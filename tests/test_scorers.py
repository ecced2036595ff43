"""Official scoring rules, with scores computed by hand."""

import pytest

from minigemini.evaluation.benchmarks.mmvet import expected_words_share
from minigemini.evaluation.scorers.choices import edit_distance, match_option, nearest_option, parse_choice, yes_or_no
from minigemini.evaluation.scorers.numbers import direct_answer, extract_answer, normalize_extraction, open_is_right
from minigemini.evaluation.scorers.vqa import normalize_answer, soft_accuracy


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("", ""),
        ("  The Dog. ", "dog"),
        ("A STOP, sign!", "stop sign"),
        ("two dogs", "2 dogs"),
        ("none", "0"),
        ("1,000", "1000"),
        ("3.5", "3.5"),
        ("$5.00", "$5.00"),
        ("100%", "100%"),
        ("well-known", "well known"),
        ("dont", "don't"),
        ("couldnt've", "couldn't've"),
        ("Wendy's", "wendy 's"),
        ("café", "café"),
        ("twenty\nfive", "twenty 5"),
        ("I'm sorry, but I cannot help with that.", "i'm sorry but i cannot help with that"),
    ],
)
def test_vqa_normalization_follows_the_challenge(said, expected):
    assert normalize_answer(said) == expected


@pytest.mark.parametrize(("matching", "accuracy"), [(0, 0.0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1.0), (10, 1.0)])
def test_soft_accuracy_by_number_of_matches(matching, accuracy):
    """c answers see c - 1 matches and 10 - c see c: for c = 2, (8 x 2/3 + 2 x 1/3) / 10 = 0.6."""
    answers = ["Nokia."] * matching + ["something else"] * (10 - matching)
    assert soft_accuracy("nokia", answers) == pytest.approx(accuracy)


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("Yes", "yes"),
        ("no.", "no"),
        ("Yes, it is.", "yes"),
        ("y", "yes"),
        ("N", "no"),
        ("Nothing of the kind", "no"),  # as officially: its first four letters contain "no"
        ("I think yes", "other"),
        ("", "other"),
        ("да", "other"),
    ],
)
def test_mme_parses_the_first_letters(said, read):
    assert yes_or_no(said) == read


OPTIONS = {"A": "a cat", "B": "a dog", "C": "two dogs"}


@pytest.mark.parametrize(
    ("said", "letter"),
    [
        ("B", "B"),
        ("(C)", "C"),
        ("B. a dog", "B"),
        ("The answer is B.", "B"),
        ("A", "A"),
        ("A cat", "A"),
        ("A photograph of two dogs running", "C"),  # here A is an article
        ("A or B", None),
        ("a cat and a dog", None),
        ("b", None),
        ("", None),
        ("Sorry, I can't help with images of people.", None),
    ],
)
def test_mmbench_matches_a_letter_or_an_option_text(said, letter):
    assert match_option(said, OPTIONS) == letter


@pytest.mark.parametrize(
    ("said", "letter"),
    [
        ("B", "B"),
        ("(A)", "A"),
        ("B.", "B"),
        ("First (A), but no: (C)", "C"),
        ("The answer is B because", "B"),
        ("it is the blue car there of course", "B"),
        ("blue car", None),  # five words or fewer: texts are not looked for
        ("", None),
        ("I cannot answer that question about the picture", None),
        ("Б", None),
    ],
)
def test_mmmu_parses_choices(said, letter):
    assert parse_choice(said, ["red", "blue car", "green"]) == letter


@pytest.mark.parametrize(
    ("said", "answers", "right"),
    [
        ("The answer is 3.14159", ["3.14"], True),  # both to two decimals
        ("x = 1,200", ["1200"], True),
        ("1.2e3", ["1200"], True),
        ("about 12 m", ["12"], True),
        ("so it is Paris.", ["paris", "London"], True),
        ("B", ["b"], True),
        ("cab", ["b"], False),  # a single letter must stand at an edge
        ("", ["5"], False),
        ("I cannot tell", ["5"], False),
        ("−5", ["-5"], False),  # the official scorer ignores the Unicode minus sign
    ],
)
def test_mmmu_scores_open_answers(said, answers, right):
    assert open_is_right(said, answers) is right


@pytest.mark.parametrize(
    ("said", "choices", "kind", "found"),
    [
        ("7", None, "integer", "7"),
        ("It weighs 1,450 kg", None, "integer", "1450"),
        ("0.6", None, "float", "0.6"),
        ("The share is 0.25 of all", None, "float", "0.25"),
        ("[2007, 2008]", None, "list", "[2007, 2008]"),
        ("between [1, 2] and [3, 4]", None, "list", "[3, 4]"),
        ('The answer is "oak".', None, "text", "oak"),
        ("(B) 8/11", ("3/11", "8/11"), "text", "B"),
        ("The answer is B", ("3/11", "8/11"), "text", "B"),
        ("8/11", ("3/11", "8/11"), "text", "8/11"),
        ("It must be 3/11, surely", ("3/11", "8/11"), "text", "3/11"),
        ("no idea", ("3/11", "8/11"), "text", None),
        ("", None, "integer", None),
        ("I am sorry, I cannot help.", None, "float", None),
    ],
)
def test_mathvista_without_a_judge(said, choices, kind, found):
    assert extract_answer(said, choices, kind) == found


@pytest.mark.parametrize(
    ("extraction", "choices", "kind", "precision", "expected"),
    [
        ("3.0", None, "integer", None, "3"),
        ("3.9", None, "integer", None, "3"),
        ("1.25", None, "float", 1.0, "1.2"),  # Python rounds the half to the even digit
        ("1.449", None, "float", 2.0, "1.45"),
        ("12 cm", None, "float", 1.0, None),
        ("nan", None, "integer", None, None),
        ("(b)", ("oak", "elm"), "text", None, "elm"),
        ("B", ("oak", "elm"), "text", None, "elm"),
        ("elms", ("oak", "elm"), "text", None, "elm"),  # the nearest_option by edit distance
        ("[1, 2]", None, "list", None, "[1, 2]"),
    ],
)
def test_mathvista_normalizes_and_rounds(extraction, choices, kind, precision, expected):
    assert normalize_extraction(extraction, choices, kind, precision) == expected


def test_direct_answers():
    assert direct_answer("12", None, "integer") == "12"
    assert direct_answer("12 apples", None, "integer") is None


def test_edit_distance_and_nearest_option():
    assert [edit_distance(*pair) for pair in (("", "abc"), ("kitten", "sitting"), ("élan", "elan"))] == [3, 3, 1]
    assert nearest_option("ct", ["dog", "cat", "cut"]) == "cat"


@pytest.mark.parametrize(
    ("truth", "said", "share"),
    [
        ("-1 <AND> -5", "x = -5 or 5", 0.5),
        ("-1 <AND> -5", "It is -1, and -5 too.", 1.0),
        ("no <OR> not any", "There are not any.", 1.0),
        ("cat", "category", 0.0),
        ("cat", "", 0.0),
    ],
)
def test_mmvet_without_a_judge_counts_expected_words(truth, said, share):
    assert expected_words_share(truth, said) == share

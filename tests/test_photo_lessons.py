"""Lessons about photographs: the table of classes, and answers that follow from the class words."""

import re
from collections import Counter
from functools import cache

import numpy as np
import pytest

from minigemini_models.small.imagenet_classes import imagenet_classes, nouns, plural_of, with_article
from minigemini_models.small.lesson import CANNOT_TELL, NOT_SURE, VisualWords
from minigemini_models.small.lessons import photograph_questions as ask
from minigemini_models.small.lessons.documents.document_classes import OBJECTS
from minigemini_models.small.lessons.drawing_words import PHOTOGRAPHED_ANIMALS, PHOTOGRAPHED_THINGS
from minigemini_models.small.lessons.photograph_answers import CANNOT_COUNT, CANNOT_READ
from minigemini_models.small.lessons.photograph_reading import Reading, position_of, read_photograph
from minigemini_models.small.lessons.photograph_unknowables import ABOUT_IT, UNKNOWABLE, UNKNOWABLE_ABOUT
from minigemini_models.small.lessons.photograph_wordings import QUESTIONS
from minigemini_models.small.lessons.photograph_words import sharpened
from minigemini_models.small.lessons.photographs import (
    FIRST_QUESTIONS,
    FOLLOW_UPS,
    SEPARATE_QUESTIONS,
    draw_words,
    sample,
    words_of,
)
from minigemini_models.small.similar_classes import nearest_rows, similar_classes

PICTURES = 1000

TABBY, TIGER_CAT, LION, PIZZA, BEAGLE, SUNGLASSES = 281, 282, 291, 963, 162, 837


def test_the_table_has_a_thousand_different_classes_in_order() -> None:
    classes = imagenet_classes()
    assert [each.index for each in classes] == list(range(1000))
    assert len({each.name for each in classes}) == 1000
    assert all(each.kinds and each.name and each.plural for each in classes)
    known = {0: "tench", 207: "golden retriever", 281: "tabby cat", 404: "airliner", 817: "sports car", 963: "pizza"}
    assert {index: classes[index].name for index in known} == known


SAID = ("an umbrella", "a unicycle", "an hourglass", "a honeycomb", "a one-piece swimsuit", "an iPod", "a uniform",
        "an ATM", "an electric fan", "a house finch", "an eft", "a yawl", "a hen", "an MP3 player")  # fmt: skip


@pytest.mark.parametrize("phrase", SAID)
def test_articles_follow_the_sound(phrase: str) -> None:
    assert with_article(phrase.split(" ", 1)[1]) == phrase


def test_irregular_and_missing_plurals() -> None:
    plurals = {
        name: nouns()[name].plural for name in ("goose", "red fox", "broccoli", "sunglasses", "gray wolf", "fish")
    }
    assert plurals == {
        "goose": "geese",
        "red fox": "red foxes",
        "broccoli": "broccoli",
        "sunglasses": "sunglasses",
        "gray wolf": "gray wolves",
        "fish": "fish",
    }
    assert [plural_of(noun) for noun in ("church", "library", "toy", "scarf")] == [
        "churches",
        "libraries",
        "toys",
        "scarves",
    ]


def test_names_are_plain() -> None:
    """No list of synonyms, no machine where a bird is meant."""
    assert not [each.name for each in imagenet_classes() if re.search(r"[,;|_]", each.name)]
    assert imagenet_classes()[134].kinds[0] == "bird"
    assert imagenet_classes()[517].kinds[0] == "machine"
    assert not imagenet_classes()[934].may_be_called("dog"), "a hot dog"
    assert not imagenet_classes()[150].may_be_called("lion"), "a sea lion"


def test_similar_classes_are_the_nearest_rows() -> None:
    table = similar_classes()
    assert table.indices.shape == table.cosines.shape == (1000, 10)
    assert (np.diff(table.cosines, axis=1) <= 0).all()
    assert TIGER_CAT in table.indices[TABBY][:2]
    rows = np.random.default_rng(0).standard_normal((1000, 8))
    nearest = nearest_rows(rows)
    brute = max((other for other in range(1000) if other != 3), key=lambda other: _cosine(rows[3], rows[other]))
    assert nearest.indices[3, 0] == brute


def _cosine(first: np.ndarray, second: np.ndarray) -> float:
    return float(first @ second / np.linalg.norm(first) / np.linalg.norm(second))


def _words(*maps: tuple[int, list[int], float]) -> VisualWords:
    """Return words that give some classes a weight in some places; all else is spread over the thousand."""
    indices, weights = np.zeros((64, 8), np.int16), np.zeros((64, 8), np.float32)
    for slot, (label, places, weight) in enumerate(maps):
        indices[:, slot] = label
        weights[places, slot] = weight
    return VisualWords(indices, weights)


LEFT_HALF = [place for place in range(64) if place % 8 < 4]
RIGHT_HALF = [place for place in range(64) if place % 8 >= 4]


def test_a_reading_names_what_most_places_say() -> None:
    reading = read_photograph(_words((TABBY, LEFT_HALF, 0.9)))
    assert [each.label.name for each in reading.named] == ["tabby cat"]
    assert position_of(reading.named[0]) == "on the left"
    assert reading.named[0].kinds == ("cat", "animal")


def test_similar_classes_in_one_place_settle_the_kind_alone() -> None:
    reading = read_photograph(_words((TABBY, LEFT_HALF, 0.45), (TIGER_CAT, LEFT_HALF, 0.4)))
    assert len(reading.named) == 1
    assert not reading.named[0].class_is_sure
    assert reading.named[0].kinds == ("cat", "animal")


def test_two_things_in_two_places() -> None:
    reading = read_photograph(_words((BEAGLE, LEFT_HALF, 0.9), (PIZZA, RIGHT_HALF, 0.8)))
    assert [each.label.name for each in reading.named] == ["beagle", "pizza"]


def test_flat_and_contradictory_words_name_nothing() -> None:
    rows = [list(range(8 * row, 8 * row + 8)) for row in range(8)]
    contradictory = _words(
        *((label, rows[row], 0.9) for row, label in enumerate((0, 963, 404, 162, 837, 701, 555, 900)))
    )
    for words in (_words(), contradictory):
        reading = read_photograph(words)
        assert reading.named == ()
        assert ask.what(np.random.default_rng(0), reading).answer.startswith(NOT_SURE)


def test_sharpening_favors_what_the_whole_picture_shows() -> None:
    scores = np.zeros((64, 1000), np.float32)
    scores[:, TABBY] = 8
    scores[0, LION] = 9
    probabilities = sharpened(scores)
    assert np.allclose(probabilities.sum(axis=1), 1, atol=1e-5)
    assert probabilities[0].argmax() == TABBY


def test_the_same_number_gives_the_same_lesson() -> None:
    for number in (0, 7, 10**9):
        first, second = sample(number), sample(number)
        assert first.turns == second.turns
        assert np.array_equal(first.classes.indices, second.classes.indices)
        assert np.array_equal(first.classes.weights, second.classes.weights)
    assert sample(1).turns != sample(2).turns


def test_words_are_the_most_likely_of_each_place() -> None:
    for number in range(30):
        lesson = sample(number)
        words = lesson.classes
        assert lesson.picture is None
        assert lesson.image_text == ""
        assert words.indices.dtype == np.int16
        assert words.weights.dtype == np.float32
        assert words.indices.shape == words.weights.shape
        assert words.indices.shape[0] == 64
        assert 8 <= words.indices.shape[1] <= 16
        assert (np.diff(words.weights, axis=1) <= 0).all()
        assert (words.weights.sum(axis=1) <= 1 + 1e-5).all()
        assert all(len(set(row)) == len(row) for row in words.indices.tolist())


@cache
def _pictures() -> list[tuple[VisualWords, Reading]]:
    words = [draw_words(np.random.default_rng([1, number])) for number in range(PICTURES)]
    return [(each, read_photograph(each)) for each in words]


def _share(words: VisualWords, labels: tuple[int, ...]) -> float:
    """Return the share of some classes in a picture's words."""
    return float(words.weights[np.isin(words.indices, labels)].sum()) / 64


_BY_PHRASE = {noun.phrase: noun for noun in nouns().values()} | {
    each.phrase: nouns()[each.name] for each in imagenet_classes()
}
_BY_PLURAL = {noun.plural: noun for noun in nouns().values()}
_BY_ASKED = {word.lower(): noun for noun in nouns().values() for word in (noun.name, noun.plural, noun.phrase)}


def _named_in(sentence: str) -> list[str]:
    """Return the phrases that a sentence lists."""
    listed = re.sub(
        r"^(The picture shows|It is|They are|I see \w+ things?:|There (?:is|are) also|Yes, there (?:is|are)) ",
        "",
        sentence,
    )
    whole = listed.rstrip(".")
    return [whole] if whole in _BY_PHRASE or whole in _BY_PLURAL else re.split(r", (?=an? )|, | and ", whole)


def _is_there(words: VisualWords, phrase: str) -> bool:
    """Whether the words speak clearly of something: it, or its kind, has a good share of them and leads somewhere."""
    noun = _BY_PHRASE.get(phrase) or _BY_PLURAL[phrase]
    leading = np.isin(words.indices, noun.labels)
    return _share(words, noun.labels) >= 0.09 and ((words.weights * leading).sum(axis=1) > 0.4).sum() >= 5


def _check_named(words: VisualWords, sentence: str) -> None:
    assert all(_is_there(words, phrase) for phrase in _named_in(sentence)), sentence


def _check_place(words: VisualWords, sentence: str) -> None:
    spot = r"(?:on|at) the (top|bottom)? ?(left|right)?|in the middle|most of the picture"
    found = re.fullmatch(rf"The (.+?) (?:is|are|fills?) (?:{spot})\.", sentence)
    assert found, sentence
    noun = _BY_ASKED[found[1].lower()]
    weights = (words.weights * np.isin(words.indices, noun.labels)).sum(axis=1).reshape(8, 8)
    column = weights.sum(axis=0) @ np.arange(8) / weights.sum()
    row = weights.sum(axis=1) @ np.arange(8) / weights.sum()
    # What a similar class says of the same thing is part of the thing, but not of these weights: half a place.
    slack = 0.6
    if found[3]:
        assert (column < 3.5 + slack) if found[3] == "left" else (column > 3.5 - slack), sentence
    if found[2]:
        assert (row < 3.5 + slack) if found[2] == "top" else (row > 3.5 - slack), sentence


def _check(words: VisualWords, reading: Reading, question: str, answer: str) -> None:
    """Derive from the words alone that an answer is right."""
    if answer in (CANNOT_TELL, CANNOT_COUNT, CANNOT_READ) or answer.startswith("I do not see anything"):
        return
    if denied := re.match(r"(?:No, )?I do not see (?:any )?(.+?)(?: in the picture)?\.", answer):
        assert _share(words, _BY_ASKED[denied[1].lower()].labels) < 0.02, answer
        answer = answer[denied.end() :].strip()
    elif denied := re.match(r"No, it is not (.+?)\. ", answer):
        assert _share(words, _BY_PHRASE[denied[1]].labels) < 0.02, answer
        answer = answer[denied.end() :]
    elif answer.startswith("Yes, it is"):
        confirmed, _, answer = answer.removeprefix("Yes, it is ").partition(".")
        assert _is_there(words, confirmed)
        answer = answer.strip()
    answer = answer.removeprefix("It is neither. ")
    if guess := re.search(r" ?(?:It|There) may be (.+?)\.(?= |$)", answer):
        assert _share(words, _BY_PHRASE[guess[1]].labels) >= 0.02, answer
        assert not any(each.class_is_sure and each.label.phrase == guess[1] for each in reading.named), answer
        answer = answer[: guess.start()] + answer[guess.end() :]
    if answer.startswith("I am"):
        unclear = not reading.named or not all(each.class_is_sure for each in reading.named)
        assert unclear or "person" in answer or answer.startswith(("I am quite", "I am fairly")), answer
        return
    for sentence in re.findall(r"[^.]+\.(?= |$)", answer.strip()):
        text = sentence.strip()
        if text.startswith("The ") and not text.startswith("The picture shows"):
            _check_place(words, text)
        elif re.match(r"There (is|are) (?!also)", text):
            phrase = re.sub(r"^There (?:is|are) (.+?) (?:on the|at the|in the middle).*$", r"\1", text)
            assert _is_there(words, phrase), text
        elif text.startswith(("The picture", "It is", "They are", "I see", "There", "Yes, there")):
            _check_named(words, text)
        else:
            assert _share(words, _BY_ASKED[text.rstrip(".").lower()].labels) > 0.09, text


@pytest.mark.parametrize("question", sorted({*FIRST_QUESTIONS, *FOLLOW_UPS}, key=lambda each: each.__name__))
def test_answers_follow_from_the_words(question: ask.Ask) -> None:
    rng = np.random.default_rng(5)
    asked = 0
    for words, reading in _pictures():
        turn = question(rng, reading)
        if turn is not None:
            _check(words, reading, turn.question, turn.answer)
            assert not re.search(r"[{}]", turn.question + turn.answer)
            asked += 1
    assert asked >= 50


def test_photographs_of_a_class_leave_no_doubt_of_it() -> None:
    rng = np.random.default_rng(0)
    for label in {*PHOTOGRAPHED_ANIMALS, *PHOTOGRAPHED_THINGS, *(index for index, _ in OBJECTS)}:
        (main, *_) = read_photograph(words_of(rng, label)).named
        assert main.class_is_sure
        assert main.label.index == label


def test_conversations_follow_from_the_words() -> None:
    for number in range(400):
        lesson = sample(number)
        reading = read_photograph(lesson.classes)
        assert 1 <= len(lesson.turns) <= SEPARATE_QUESTIONS
        for turn in lesson.turns:
            _check(lesson.classes, reading, turn.question, turn.answer)


@pytest.mark.parametrize("question", [ask.exists, ask.exists_reason, ask.is_kind])
def test_yes_and_no_are_balanced(question: ask.Ask) -> None:
    rng = np.random.default_rng(6)
    turns = [turn for _, reading in _pictures() if (turn := question(rng, reading))]
    said = Counter(turn.answer.split(",")[0] for turn in turns)
    assert 0.4 < said["Yes"] / (said["Yes"] + said["No"]) < 0.6


def test_a_good_share_admits_not_to_know_and_yes_is_as_frequent_as_no() -> None:
    answers = [turn.answer for number in range(600) for turn in sample(number).turns]
    unsure = sum(answer.startswith(("I am not sure", "I cannot")) for answer in answers) / len(answers)
    assert 0.15 < unsure < 0.4
    said = Counter(answer.split(",")[0] for answer in answers)
    assert 0.42 < said["Yes"] / (said["Yes"] + said["No"]) < 0.58


def test_questions_are_worded_in_many_ways() -> None:
    assert all(
        len(set(wordings)) >= 10 for wordings in (*QUESTIONS.values(), *ABOUT_IT.values(), UNKNOWABLE, UNKNOWABLE_ABOUT)
    )
    asked = [sample(number).turns[0].question for number in range(300)]
    assert len(set(asked)) > 220

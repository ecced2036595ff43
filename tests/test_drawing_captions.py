"""The rules that check captions for drawing, and the conversations that they check."""

import re
from collections.abc import Callable

import pytest

from minigemini.imagegen.captions import with_captions
from minigemini_models.evaluation.drawing_captions import (
    CaptionChecker,
    CaptionConversation,
    CaptionTurn,
    ask_all,
    caption_table,
    names,
    read_conversations,
)
from minigemini_models.small.lessons import drawing, drawing_words

CONVERSATIONS = read_conversations()
RICH = CaptionTurn("Draw a rich mouse.", adds=("rich",))
ROBBED = CaptionTurn("It has been robbed.", adds=("sad|poor",), drops=("treasure",), frees=("rich",))


def test_there_are_enough_conversations_over_rounds() -> None:
    assert len(CONVERSATIONS) >= 60
    assert sum(len(conversation.turns) for conversation in CONVERSATIONS) > 150
    assert all(turn.adds or turn.drops or turn.frees or turn.subject or i == 0
               for conversation in CONVERSATIONS
               for i, turn in enumerate(conversation.turns) if turn.draw)  # fmt: skip


def test_no_subject_is_one_that_training_draws() -> None:
    trained = {
        *drawing_words.ANIMALS, *drawing_words.PEOPLE, *drawing_words.THINGS, *drawing_words.LANDSCAPES,
        *drawing_words.PHOTOGRAPHED_ANIMALS.values(), *drawing_words.PHOTOGRAPHED_THINGS.values(),
    }  # fmt: skip
    held_out = [c.subject for c in CONVERSATIONS] + [t.subject for c in CONVERSATIONS for t in c.turns if t.subject]
    assert not [subject for subject in held_out for one in trained if names(one, subject)]


def test_no_request_occurs_in_training() -> None:
    trained = {turn.question.lower() for number in range(3000) for turn in drawing.sample(number).turns}
    first = {f"{conversation.turns[0].ask} <GEN>".lower() for conversation in CONVERSATIONS}
    assert not first & trained


@pytest.mark.parametrize(
    ("text", "entry", "expected"),
    [
        ("a mouse", "mouse|mice", True),
        ("Two Mice.", "mouse|mice", True),
        ("a crown", "crow", False),
        ("three crows", "crow", True),
        ("two lynxes", "lynx", True),
        ("a rainy day", "rain*", True),
        ("a train", "rain*", False),
        ("", "cat", False),
    ],
)
def test_names(text: str, entry: str, expected: bool) -> None:
    assert names(text, entry) is expected


@pytest.mark.parametrize(
    ("answer", "part"),
    [
        ("Here is a rich mouse.", "tags"),
        ("Here. <h>a rich mouse</h> <h>a rich mouse</h>", "tags"),
        ("Here. <h>a rich mouse", "tags"),
        ("<h>a rich mouse</h>", "tags"),
        (f"Here. <h>a rich mouse {'very ' * 60}</h>", "tags"),
        ("Here is a rich mouse. <h>a rich rat</h>", "subject"),
        ("Here is a rich mouse. <h>a mouse</h>", "changed"),
    ],
)
def test_each_error_is_found(answer: str, part: str) -> None:
    verdict = CaptionChecker("mouse|mice").check(RICH, answer)
    assert not verdict.right
    assert not getattr(verdict, part)


def test_a_right_caption_passes() -> None:
    assert CaptionChecker("mouse|mice").check(RICH, "Here is a rich mouse. <h>a rich mouse, oil painting</h>").right


def test_a_conversation_is_checked_over_rounds() -> None:
    checker = CaptionChecker("mouse|mice")
    assert checker.check(RICH, "Here. <h>a rich mouse</h>").right
    treasure = CaptionTurn("Give it a treasure.", adds=("treasure",))
    forgot = checker.check(treasure, "Here. <h>a mouse with a treasure</h>")
    assert forgot.changed
    assert not forgot.kept
    assert not checker.check(ROBBED, "Here. <h>a sad mouse, with a treasure</h>").changed
    checked = checker.check(CaptionTurn("At night.", adds=("night",)), "Here. <h>a sad mouse, treasure, at night</h>")
    assert checked.changed
    assert not checked.kept  # what was removed came back
    fox = CaptionTurn("Make it a fox.", subject="fox")
    assert checker.check(fox, "Here. <h>a sad fox, at night</h>").right
    assert not checker.check(
        CaptionTurn("And a hat.", adds=("hat",)), "Here. <h>a sad mouse, a hat, at night</h>"
    ).subject


def test_turns_without_a_request_must_not_have_tags() -> None:
    turn = CaptionTurn("What is the capital of France?", draw=False, says="paris")
    assert CaptionChecker("mouse").check(turn, "It is Paris.").right
    assert not CaptionChecker("mouse").check(turn, "It is Rome.").right
    assert not CaptionChecker("mouse").check(turn, "Paris. <h>a mouse</h>").right
    assert not CaptionChecker("mouse").check(turn, " ").right


def test_a_model_that_does_everything_is_right_in_all_of_it_and_one_that_repeats_the_request_is_not() -> None:
    table = caption_table(list(ask_all(CONVERSATIONS, perfect_chats(CONVERSATIONS))))
    assert table.count("| 100.0%") == 7
    repeating = list(ask_all(CONVERSATIONS, lambda: lambda ask, draw: with_captions("Here it is.", [ask] * draw)))
    assert all(result.verdict.tags for result in repeating)
    drawn = [result for result in repeating if result.turn.draw]
    assert sum(result.verdict.right for result in drawn) < 0.6 * len(drawn)


def test_an_unknown_field_is_an_error(tmp_path) -> None:
    file = tmp_path / "conversations.jsonl"
    file.write_text('{"subject": "mouse", "turns": [{"ask": "Draw a mouse.", "add": ["mouse"]}]}')
    with pytest.raises(ValueError, match="unknown field add: a turn has ask, draw, adds"):
        read_conversations(file)


def perfect_chats(conversations: list[CaptionConversation]) -> Callable[[], Callable[[str, bool], str]]:
    """Chats that name the first alternative of everything that was asked for and not removed."""
    remaining = iter(conversations)

    def start():
        conversation = next(remaining)
        turns, subject, shown = iter(conversation.turns), conversation.subject, []

        def answer(ask: str, draw: bool) -> str:
            nonlocal subject, shown
            turn = next(turns)
            if not draw:
                return f"Gladly. {turn.says}"
            subject = turn.subject or subject
            gone = {word for entry in (*turn.drops, *turn.frees) for word in entry.split("|")}
            shown = [entry for entry in shown if not gone & set(entry.split("|"))] + list(turn.adds)
            return with_captions("Here.", [", ".join(re.split(r"\*?\||\*?$", entry)[0] for entry in (subject, *shown))])

        return answer

    return start

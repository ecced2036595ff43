"""Turns of a conversation, and the wordings of every question."""

from dataclasses import dataclass

import numpy as np

from ..scenes.colors import pick


@dataclass(frozen=True)
class Turn:
    """A question and its answer. `skill` groups turns for evaluation."""

    skill: str
    question: str
    answer: str


TurnGroup = tuple[Turn, ...]
"""Turns that must follow each other: later questions may refer to earlier ones."""

CANNOT_TELL = "I cannot tell."

QUESTIONS: dict[str, tuple[str, ...]] = {
    "describe": ("Describe the picture.", "What is in the picture?", "What do you see?"),
    "name": ("What is this?", "What is shown here?", "Name the thing in the picture."),
    "colour": ("What colour is the {name}?", "Which colour does the {name} have?", "What is the colour of the {name}?"),
    "find": ("What is the {color} thing?", "What is {color}?", "Which thing is {color}?"),
    "shape": ("Which shape is {color}?", "What is the {color} shape?", "Name the {color} shape."),
    "count": ("How many {plural} are there?", "How many {plural} do you see?", "Count the {plural}."),
    "exists": ("Is there {a_name}?", "Is there {a_name} in the picture?", "Do you see {a_name}?"),
    "beside": ("What is {relation} the {name}?", "What do you see {relation} the {name}?"),
    "related": ("Is the {name} {relation} the {other}?",),
    "beside_it": ("And {relation} it?", "And what is {relation} it?", "And the one {relation} it?"),
    "and_the": ("And the {name}?", "What about the {name}?"),
    "read": ("What does the sign say?", "Read the word.", "What is written here?", "Which word is this?"),
    "read_all": ("Read all the words from top to bottom.", "Which words do you see?", "Read the words."),
    "read_top": ("Read the top word.", "Which word is at the top?"),
    "read_bottom": ("Read the bottom word.", "Which word is at the bottom?"),
    "read_lines": ("Read the text.", "What does the text say?", "What is written here?"),
    "read_line": ("Read the {which} line.", "What does the {which} line say?"),
    "copy": (
        "Repeat {text}.",
        "Say {text}.",
        "Do not say {other}. Say {text}.",
        "Not {other}, but {text}: repeat it.",
    ),
    "value": ("What is the value of {label}?", "Which value does {label} have?", "How high is {label}?"),
    "label": ("Which bar has the value {value}?", "Which bar is at {value}?"),
    "largest": ("Which bar is the largest?", "Which bar has the largest value?"),
    "smallest": ("Which bar is the smallest?", "Which bar has the smallest value?"),
    "cell": ("What is in row {row}, column {column}?", "Read the cell in row {row} and column {column}."),
    "and_row": ("And in row {row}?", "And row {row}?"),
    "row": ("Read row {row}.", "What does row {row} say?"),
    "more": ("Which picture has more {plural}?", "In which picture are there more {plural}?"),
    "as_many": ("Are there as many {plural} in both pictures?", "Do both pictures have the same number of {plural}?"),
    "changed": ("Which thing has another colour in the second picture?", "Which thing changed its colour?"),
    "same": ("Do both pictures show the same things?", "Are the same things in both pictures?"),
    "which_picture": ("Which picture shows {a_name}?", "In which picture is {a_name}?"),
    "unknowable": ("Who drew this?", "Where was this picture taken?", "What day was it?", "Who lives here?"),
    "unknowable_about": ("How old is the {name}?", "What does the {name} cost?", "Who owns the {name}?"),
}


def ask(rng: np.random.Generator, question: str, answer: str, skill: str = "", **words: str) -> Turn:
    """Return a turn with a random wording of a question.

    Args:
        rng: samples the wording.
        question: key of `QUESTIONS`.
        answer: the answer.
        skill: skill of the turn; by default `question`.
        words: values of the placeholders in the wording.
    """
    return Turn(skill or question, pick(rng, QUESTIONS[question]).format(**words), answer)

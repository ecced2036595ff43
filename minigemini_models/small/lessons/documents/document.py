"""A document with what can be asked about it."""

from dataclasses import dataclass, field

from ....scenes.colors import pick
from .document_page import Page
from .document_words import options

COUNTED = ("count", "rows", "items")
"""Skills whose answers are counts."""
CANNOT_READ = "I cannot read the text in the picture."


def letters(text: str) -> str:
    """The letters and digits of a text: line breaks may stand between the words of an answer."""
    return "".join(char for char in text if char.isalnum())


@dataclass(frozen=True)
class Fact:
    """A question with its answer, and the fragments of the layout that the answer is derived from."""

    skill: str
    question: str
    answer: str
    evidence: tuple[str, ...] = ()

    def is_told_by(self, text: str) -> bool:
        """Whether a layout contains the evidence, and every part of the answer unless it is a sentence or a count."""
        copied = () if self.answer.endswith(".") or self.skill in COUNTED else self.answer.split(", ")
        return all(part in text for part in self.evidence) and all(letters(part) in letters(text) for part in copied)


@dataclass
class Document:
    """A page and what can be asked about it.

    Attributes:
        kind: what it is, e.g. "a receipt".
        page: its strings.
        facts: what it tells.
        missing: questions that it does not answer.
    """

    kind: str
    page: Page
    facts: list[Fact] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)

    def ask(self, skill: str, wordings: str, answer: str | None, *evidence: str | None) -> None:
        """Add a fact, unless OCR missed one of its strings.

        Args:
            skill: groups questions.
            wordings: questions, separated by "|".
            answer: the answer; a bare string is taken for its own evidence.
            evidence: fragments of the layout.
        """
        if answer is not None and None not in evidence:
            fragments = tuple(str(fragment) for fragment in evidence) or (answer,)
            self.facts.append(Fact(skill, pick(self.page.rng, options(wordings)), answer, fragments))

    def lack(self, wordings: str) -> None:
        """Add a question that the document does not answer."""
        self.missing.append(pick(self.page.rng, options(wordings)))

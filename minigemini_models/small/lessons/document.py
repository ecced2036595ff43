"""A document with what can be asked about it."""

from dataclasses import dataclass, field

import numpy as np

from .document_page import Page
from .document_words import pick

CANNOT_TELL = "I cannot tell from the picture."
CANNOT_READ = "I cannot read the text in the picture."


@dataclass(frozen=True)
class Fact:
    """A question with its answer, and the fragments of the layout that the answer is derived from."""

    skill: str
    question: str
    answer: str
    evidence: tuple[str, ...] = ()


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

    def ask(
        self, rng: np.random.Generator, skill: str, wordings: str, answer: str | None, *evidence: str | None
    ) -> None:
        """Add a fact, unless OCR missed one of its strings.

        Args:
            rng: chooses the wording.
            skill: groups questions.
            wordings: questions, separated by "|".
            answer: the answer; a bare string is taken for its own evidence.
            evidence: fragments of the layout.
        """
        if answer is not None and None not in evidence:
            fragments = tuple(str(fragment) for fragment in evidence) or (answer,)
            self.facts.append(Fact(skill, pick(rng, wordings.split("|")), answer, fragments))

    def lack(self, rng: np.random.Generator, wordings: str) -> None:
        """Add a question that the document does not answer."""
        self.missing.append(pick(rng, wordings.split("|")))

"""Turns about pictures, and pictures in return: every question is asked with all that was said and shown before."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from PIL import Image

from ..imagegen.captions import CaptionParser
from ..imagegen.generated_image import GeneratedImage, GenerationSettings
from ..images.safe_images import open_image
from ..io.argument_checks import as_image_list, check_image, check_text, check_type, shown
from ..io.errors import RequestError
from .engine import Engine, ImageInput
from .prompts import Message
from .sampling import GREEDY, Sampling
from .streaming import Answer, AnswerStream

if TYPE_CHECKING:
    from ..imagegen.generator import ImageGenerator
    from .ocr import RapidOcrEngine


@dataclass(frozen=True)
class Reply:
    """What came of a request for a picture."""

    text: str
    """The answer without captions."""
    captions: list[str]
    """All that the model wrote; none where it did not see fit to have anything drawn."""
    images: list[GeneratedImage]
    """Of the last caption."""
    answer: Answer
    """As the model gave it, tags included."""


class Conversation:
    """Turns about pictures; every question is asked with all that was said before.

    Args:
        engine: who answers.
        pictures: shown with the first question; one, or several in a list.
        reader: reads the strings in pictures, which go into the prompt beside them; None leaves them to the model.

    Raises:
        ImageError: a picture that is not read.
        RequestError: an argument of another type.
    """

    def __init__(
        self, engine: Engine, images: ImageInput | Sequence[ImageInput] = (), reader: "RapidOcrEngine | None" = None
    ) -> None:
        check_type("engine", engine, Engine, "an Engine")
        self.engine, self.reader = engine, reader
        self.reset()
        for image in as_image_list(images):
            self.add_image(image)

    def add_image(self, image: ImageInput) -> None:
        """Show a picture with the next question. Raises `ImageError`, and `RequestError` for what can be none."""
        check_image(image)
        self._shown.append(open_image(image))

    def reset(self) -> None:
        """Forget all turns and pictures."""
        self.messages: list[Message] = []
        self._shown: list[Image.Image] = []
        self._draws: list[bool] = []  # one entry per user turn
        self._strings: list[list[str]] = []

    def ask(self, question: str, sampling: Sampling = GREEDY) -> Answer:
        """Ask, and wait for the whole answer. Raises `RequestError`."""
        return self.stream(question, sampling).answer

    def stream(self, question: str, sampling: Sampling = GREEDY, draw: bool = False) -> AnswerStream:
        """Ask, and read the answer piece by piece. Raises `RequestError`.

        The turn is remembered once the stream has been read to its end or its `with` block is left, stopped or not.

        Args:
            question: about what was shown and said.
            sampling: how the answer is chosen.
            draw: ask for an image: the answer then has a caption in it, see `captions`.
        """
        check_text("question", question)
        content: list[Message] = [{"type": "image", "image": image} for image in self._shown]
        turn = {"role": "user", "content": [*content, {"type": "text", "text": question}]}
        strings = [] if self.reader is None else [s for image in self._shown for s in self.reader.read(image)]

        def remember(answer: Answer) -> None:
            self.messages += [turn, {"role": "assistant", "content": [{"type": "text", "text": answer.text}]}]
            self._draws.append(draw)
            self._strings.append(strings)
            self._shown = []

        return self.engine.stream(
            [*self.messages, turn],
            sampling,
            on_end=remember,
            draw=[*self._draws, draw],
            ocr=[*self._strings, strings],
        )

    def request(self, request: str, sampling: Sampling = GREEDY) -> "RequestStream":
        """Ask for a picture, and read the text of the answer piece by piece. Raises `RequestError`."""
        return RequestStream(self, self.stream(request, sampling, draw=True))

    def draw(
        self,
        request: str,
        painter: "ImageGenerator",
        sampling: Sampling = GREEDY,
        drawing: GenerationSettings | None = None,
        start: ImageInput | None = None,
    ) -> Reply:
        """Ask for a picture, and have it drawn; it is shown with the next question.

        Args:
            request: in the user's words; it may lean on what was said and shown before.
            painter: who draws.
            sampling: how the answer is chosen.
            drawing: how the picture is drawn.
            start: a picture to start from instead of from nothing.

        Raises:
            ImageError: `start` is not read.
            RequestError: nothing is asked for, or a setting that the painter does not take.
        """
        with self.request(request, sampling) as stream:
            return stream.draw(painter, drawing, start)


class RequestStream(Iterator[str]):
    """The text of an answer to a request for a picture, in pieces without captions; joined, they are `reply.text`.

    Args:
        conversation: where pictures are shown with the next question.
        stream: the answer itself.
    """

    def __init__(self, conversation: Conversation, stream: AnswerStream) -> None:
        self._conversation, self._stream = conversation, stream
        self._parser: CaptionParser | None = CaptionParser()
        self._text = ""
        self.captions: list[str] = self._parser.captions

    def __next__(self) -> str:
        while self._parser is not None:
            piece = next(self._stream, None)
            if piece is None:
                shown, self._parser = self._parser.close(), None
            else:
                shown = self._parser.feed(piece)
            if shown:
                self._text += shown
                return shown
        raise StopIteration

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        with self._stream:
            pass

    def draw(
        self,
        painter: "ImageGenerator",
        drawing: GenerationSettings | None = None,
        start: ImageInput | None = None,
        progress: bool | None = None,
    ) -> Reply:
        """Read what is left, and draw the last caption; without one there are no pictures. Errors as `Painter.draw`."""
        for _ in self:
            pass
        if not callable(getattr(painter, "draw", None)):
            raise RequestError(f"painter is {shown(painter)}; it is a Painter")
        images = painter.draw(self.captions[-1], drawing, start, progress) if self.captions else []
        for image in images:
            self._conversation.add_image(image.image)
        return Reply(self._text, self.captions, images, self._stream.answer)

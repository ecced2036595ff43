"""Conversations about images and videos: every turn is answered with the previous turns and images as context."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, Self

from PIL import Image

from ..imagegen.captions import CaptionParser
from ..imagegen.generated_image import GeneratedImage, GenerationSettings
from ..images.decoders import open_video
from ..images.safe_images import open_image
from ..images.video import Video
from ..io.argument_checks import as_image_list, check_image, check_text, check_type, shown
from ..io.errors import RequestError
from .engine import Engine, ImageInput, VideoInput
from .prompts import Message
from .sampling import GREEDY, Sampling
from .streaming import Answer, AnswerStream

if TYPE_CHECKING:
    from ..imagegen.generator import ImageGenerator
    from .ocr import RapidOcrEngine


@dataclass(frozen=True)
class Reply:
    """Result of a request for an image."""

    text: str
    """Answer without captions."""
    captions: list[str]
    """Captions in the answer; empty if the model wrote none."""
    images: list[GeneratedImage]
    """Images generated from the last caption."""
    answer: Answer
    """Complete answer, with caption tags."""


class Conversation:
    """A conversation about images; every question is answered with the previous turns as context.

    Args:
        engine: Answers the questions.
        images: Shown with the first question: one image, or a list.
        reader: OCR engine whose text is added to the prompt; None adds none, and "auto" is `Engine.default_reader`.

    Raises:
        ImageError: An image cannot be read.
        RequestError: An argument has the wrong type.
    """

    def __init__(
        self,
        engine: Engine,
        images: ImageInput | Sequence[ImageInput] = (),
        reader: "RapidOcrEngine | Literal['auto'] | None" = "auto",
    ) -> None:
        check_type("engine", engine, Engine, "an Engine")
        self.engine, self._reader = engine, reader
        self.reset()
        for image in as_image_list(images):
            self.add_image(image)

    @property
    def reader(self) -> "RapidOcrEngine | None":
        """The OCR engine; an automatic one is loaded when it is first used."""
        return self.engine.default_reader if self._reader == "auto" else self._reader

    def add_image(self, image: ImageInput) -> None:
        """Show an image with the next question.

        Raises:
            ImageError: The image cannot be read.
            RequestError: The argument has the wrong type.
        """
        check_image(image)
        self._pending_images.append(open_image(image))

    def add_video(self, video: VideoInput) -> None:
        """Show a video with the next question; the processor's `video_sampling` says which of its frames.

        Raises:
            ImageError: The video cannot be read.
        """
        self._pending_videos.append(open_video(video, self.engine.processor.video_sampling))

    def reset(self) -> None:
        """Clear all turns, images and videos."""
        self.messages: list[Message] = []
        self._pending_images: list[Image.Image] = []
        self._pending_videos: list[Video] = []
        # One entry per user turn: whether it requests an image, and the OCR text of its images.
        self._draw_turns: list[bool] = []
        self._ocr_turns: list[list[str]] = []

    def ask(self, question: str, sampling: Sampling = GREEDY) -> Answer:
        """Ask a question, and wait for the whole answer. Raises `RequestError`."""
        return self.stream(question, sampling).answer

    def stream(self, question: str, sampling: Sampling = GREEDY, draw: bool = False) -> AnswerStream:
        """Ask a question, and stream the answer. Raises `RequestError`.

        The turn joins the conversation when the stream is exhausted or its `with` block exits, stopped or not.

        Args:
            question: Text of the question.
            sampling: How tokens are chosen.
            draw: Request an image: the answer then contains a caption, see `imagegen.captions`.
        """
        check_text("question", question)
        content: list[Message] = [{"type": "image", "image": image} for image in self._pending_images]
        content += [{"type": "video", "video": video} for video in self._pending_videos]
        turn = {"role": "user", "content": [*content, {"type": "text", "text": question}]}
        reader = self.reader if self._pending_images else None
        strings = [] if reader is None else [s for image in self._pending_images for s in reader.read(image)]

        def remember(answer: Answer) -> None:
            self.messages += [turn, {"role": "assistant", "content": [{"type": "text", "text": answer.text}]}]
            self._draw_turns.append(draw)
            self._ocr_turns.append(strings)
            self._pending_images, self._pending_videos = [], []

        return self.engine.stream(
            [*self.messages, turn],
            sampling,
            on_end=remember,
            draw=[*self._draw_turns, draw],
            ocr=[*self._ocr_turns, strings],
        )

    def request(self, request: str, sampling: Sampling = GREEDY) -> "RequestStream":
        """Request an image, and stream the text of the answer. Raises `RequestError`."""
        return RequestStream(self, self.stream(request, sampling, draw=True))

    def draw(
        self,
        request: str,
        generator: "ImageGenerator",
        sampling: Sampling = GREEDY,
        settings: GenerationSettings | None = None,
        start: ImageInput | None = None,
    ) -> Reply:
        """Request an image and generate it; it is shown with the next question.

        Args:
            request: Text of the request; it may refer to previous turns and images.
            generator: Draws the caption that the model writes.
            sampling: How the tokens of the answer are chosen.
            settings: How the image is generated.
            start: Image to start from, in place of noise.

        Raises:
            ImageError: `start` cannot be read.
            RequestError: The request is empty, or the generator does not support a setting.
        """
        with self.request(request, sampling) as stream:
            return stream.draw(generator, settings, start)


class RequestStream(Iterator[str]):
    """Stream the answer to a request for an image without its captions; the joined pieces are `reply.text`.

    Args:
        conversation: Receives the generated images for its next question.
        stream: The complete answer.
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
                text, self._parser = self._parser.close(), None
            else:
                text = self._parser.feed(piece)
            if text:
                self._text += text
                return text
        raise StopIteration

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc_info: object) -> None:
        with self._stream:
            pass

    def draw(
        self,
        generator: "ImageGenerator",
        settings: GenerationSettings | None = None,
        start: ImageInput | None = None,
        progress: bool | None = None,
    ) -> Reply:
        """Read the rest of the answer, and generate the last caption. Raises what `ImageGenerator.draw` raises.

        Without a caption the reply has no images.
        """
        for _ in self:
            pass
        if not callable(getattr(generator, "draw", None)):
            raise RequestError(f"generator is {shown(generator)}; it must be an ImageGenerator")
        images = generator.draw(self.captions[-1], settings, start, progress) if self.captions else []
        for image in images:
            self._conversation.add_image(image.image)
        return Reply(self._text, self.captions, images, self._stream.answer)

"""`minigemini ask`: answer one question about images and videos."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .answer_options import AnswerOptions
from .common import (
    DefaultModel,
    be_quiet,
    fail,
    model_or_default,
    one_line_errors,
    print_stream,
)
from .load_options import LoadOptions
from .streams import print_json
from .video_options import VideoOptions

if TYPE_CHECKING:
    from ..inference import Answer, Engine


@one_line_errors
def ask(
    images: Annotated[
        list[str] | None,
        typer.Argument(metavar="FILE", help="JPEG, PNG, WEBP or GIF images, or MP4, MOV, WEBM or MKV videos."),
    ] = None,
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="The question, last and in quotes.")] = "",
    model: DefaultModel = None,
    explain: Annotated[
        Path | None,
        typer.Option("--explain", metavar="OUT.png", help="Write a heat map of what patch info mining attended to."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object with the answer, token counts and timing.")
    ] = False,
    *,
    answering: AnswerOptions,
    watching: VideoOptions,
    loading: LoadOptions,
) -> None:
    """Answer a question about images or videos.

    Prints the answer as it is generated, and nothing else.

    Example: minigemini ask photo.png "What color is the ball?"

    Example: minigemini ask left.png right.png "What is different?" --json

    Example: minigemini ask photo.png "What is it?" --model my-model --quantize 8bit

    Example: minigemini ask page.png "What is the total?" --ocr

    Example: minigemini ask clip.mp4 "What happens?" --max-frames 8
    """
    from ..io.argument_checks import check_text

    _check_arguments(images or [], watching.videos or [], question)
    images, videos = watching.split(images or [])
    watching.check()
    name = model_or_default(model)
    be_quiet(name)
    check_text("the question", question)
    loading.check(name)

    from ..images.safe_images import open_image

    # Cheap checks come before torch is imported: first the settings, then the images.
    sampling = answering.sampling()
    if explain is not None:
        if not images:
            fail("--explain maps an image, but there are only videos; name an image, or a frame saved as one")
        from ..io.png import check_target, write_png

        check_target(explain, "explanation")
    opened = [open_image(image) for image in images]
    answering.check_ocr()
    from ..inference import Conversation

    engine = loading.load(model)
    reader = answering.reader(engine.processor)
    conversation = watching.add_to(Conversation(engine, opened, reader), videos)
    with conversation.stream(question, sampling) as stream:
        if not as_json:
            print_stream(stream)
        answer = stream.answer
    if not answer.text:
        from ..inference.streaming import EMPTY_ANSWER

        print(f"minigemini: {EMPTY_ANSWER}", file=sys.stderr)
    if as_json:
        print_json(_as_json(engine, images, videos, question, answer))
    if explain is not None:
        from ..inference.attention_maps import explain_images

        write_png(explain_images(engine, opened, question, answer.text), explain)


def _check_arguments(images: list[str], videos: list[str], question: str) -> None:
    """Catch typical mistakes: no arguments, no question, no image, a question without quotes."""
    if not images and not videos and not question:
        fail('give an image and a question, e.g. minigemini ask photo.png "What is it?"')
    if Path(question).is_file():
        fail(f"no question after {question}; put it last, in quotes")
    if not question.strip():
        fail("the question is empty; ask something, in quotes")
    if not images and not videos:
        fail("no image before the question; name one, or chat without images in `minigemini chat`")
    for file in (*images, *videos):
        if not Path(file).exists():
            fail(f"{file}: no such file; check the path, and put the question last, in quotes")


def _as_json(
    engine: "Engine", images: list[str], videos: list[str], question: str, answer: "Answer"
) -> dict[str, object]:
    return {
        "answer": answer.text,
        "question": question,
        "pictures": images,
        **({"videos": videos} if videos else {}),
        "model": engine.name,
        "finish_reason": answer.finish_reason,
        "prompt_tokens": answer.prompt_tokens,
        "new_tokens": answer.new_tokens,
        "seconds": round(answer.seconds, 3),
        "device": str(engine.device),
        "dtype": str(engine.dtype).removeprefix("torch."),
    }

"""`minigemini ask`: pictures and a question in, the answer out."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .common import (
    MaxNewTokens,
    Model,
    Ocr,
    OcrConfidence,
    Seed,
    Temperature,
    be_quiet,
    fail,
    one_line_errors,
    printable,
)
from .load_options import LoadOptions
from .streams import print_json

if TYPE_CHECKING:
    from ..inference import Answer, AnswerStream, Engine


@one_line_errors
def ask(
    images: Annotated[list[str] | None, typer.Argument(metavar="PICTURE", help="JPEG, PNG, WEBP or GIF.")] = None,
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="The last word; in quotes.")] = "",
    model: Model = "nano",
    explain: Annotated[
        Path | None,
        typer.Option("--explain", metavar="OUT.png", help="Draw what mining looked at."),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the answer and its circumstances as JSON.")] = False,
    ocr: Ocr = False,
    ocr_confidence: OcrConfidence = 0.1,
    max_new_tokens: MaxNewTokens = 256,
    temperature: Temperature = 0.0,
    seed: Seed = None,
    *,
    loading: LoadOptions,
) -> None:
    """Answer a question about pictures. Prints the answer and nothing else.

    Example: minigemini ask photo.png "What colour is the ball?"

    Example: minigemini ask left.png right.png "What is different?" --json

    Example: minigemini ask photo.png "What is it?" --model my-model --quantize 8bit

    Example: minigemini ask page.png "What is the total?" --ocr
    """
    from ..io.argument_checks import check_text

    images = images or []
    _check_order(images, question)
    be_quiet(model)
    check_text("the question", question)
    loading.check(model)

    from ..images.safe_images import open_image
    from ..inference import Sampling
    from ..inference.ocr import RapidOcrEngine

    # What costs nothing is checked first, before torch is imported: settings, then pictures.
    sampling = Sampling(max_new_tokens=max_new_tokens, temperature=temperature, seed=seed)
    if explain is not None:
        from ..io.png import check_target, write_png

        check_target(explain, "explanation")
    opened = [open_image(image) for image in images]
    reader = RapidOcrEngine(ocr_confidence) if ocr else None
    from ..inference import Conversation

    engine = loading.load(model)
    with Conversation(engine, opened, reader).stream(question, sampling) as stream:
        if not as_json:
            _print_pieces(stream)
        answer = stream.answer
    if not answer.text:
        from ..inference.streaming import EMPTY_ANSWER

        print(f"minigemini: {EMPTY_ANSWER}", file=sys.stderr)
    if as_json:
        print_json(_described(engine, images, question, answer))
    if explain is not None:
        from ..inference.attention_maps import explain_images

        write_png(explain_images(engine, opened), explain)


def _check_order(images: list[str], question: str) -> None:
    """Catch the slips of a command line: nothing, no question, no picture, a question without quotes."""
    if not images and not question:
        fail('name a picture and a question, e.g. minigemini ask photo.png "What is it?"')
    if Path(question).is_file():
        fail(f"no question after {question}; put it last, in quotes")
    if not question.strip():
        fail("the question is empty; ask something, in quotes")
    if not images:
        fail("no picture before the question; name one, or talk without one in `minigemini chat`")
    for image in images:
        if not Path(image).exists():
            fail(f"{image}: no such file; check the path, and put the question last, in quotes")


def _print_pieces(stream: "AnswerStream") -> None:
    for piece in stream:
        sys.stdout.write(printable(piece))
        sys.stdout.flush()
    print(flush=True)


def _described(engine: "Engine", images: list[str], question: str, answer: "Answer") -> dict[str, object]:
    return {
        "answer": answer.text,
        "question": question,
        "pictures": images,
        "model": engine.name,
        "finish_reason": answer.finish_reason,
        "prompt_tokens": answer.prompt_tokens,
        "new_tokens": answer.new_tokens,
        "seconds": round(answer.seconds, 3),
        "device": str(engine.device),
        "dtype": str(engine.model.dtype).removeprefix("torch."),
    }

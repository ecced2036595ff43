"""`minigemini ask`: answer one question about one or more images."""

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
    check_ocr,
    fail,
    one_line_errors,
    print_stream,
)
from .load_options import LoadOptions
from .streams import print_json

if TYPE_CHECKING:
    from ..inference import Answer, Engine


@one_line_errors
def ask(
    images: Annotated[
        list[str] | None, typer.Argument(metavar="IMAGE", help="One or more JPEG, PNG, WEBP or GIF files.")
    ] = None,
    question: Annotated[str, typer.Argument(metavar="QUESTION", help="The question, last and in quotes.")] = "",
    model: Model = "nano",
    explain: Annotated[
        Path | None,
        typer.Option("--explain", metavar="OUT.png", help="Write a heat map of what patch info mining attended to."),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object with the answer, token counts and timing.")
    ] = False,
    ocr: Ocr = None,
    ocr_confidence: OcrConfidence = None,
    max_new_tokens: MaxNewTokens = 256,
    temperature: Temperature = 0.0,
    seed: Seed = None,
    *,
    loading: LoadOptions,
) -> None:
    """Answer a question about images.

    Prints the answer as it is generated, and nothing else.

    Example: minigemini ask photo.png "What color is the ball?"

    Example: minigemini ask left.png right.png "What is different?" --json

    Example: minigemini ask photo.png "What is it?" --model my-model --quantize 8bit

    Example: minigemini ask page.png "What is the total?" --ocr
    """
    from ..io.argument_checks import check_text

    images = images or []
    _check_arguments(images, question)
    be_quiet(model)
    check_text("the question", question)
    loading.check(model)

    from ..images.safe_images import open_image
    from ..inference import Sampling
    from ..inference.ocr import choose_reader

    # Cheap checks come before torch is imported: first the settings, then the images.
    sampling = Sampling(max_new_tokens=max_new_tokens, temperature=temperature, seed=seed)
    if explain is not None:
        from ..io.png import check_target, write_png

        check_target(explain, "explanation")
    opened = [open_image(image) for image in images]
    check_ocr(ocr, ocr_confidence)
    from ..inference import Conversation

    engine = loading.load(model)
    reader = choose_reader(ocr, engine.processor.ocr_format, ocr_confidence)
    with Conversation(engine, opened, reader).stream(question, sampling) as stream:
        if not as_json:
            print_stream(stream)
        answer = stream.answer
    if not answer.text:
        from ..inference.streaming import EMPTY_ANSWER

        print(f"minigemini: {EMPTY_ANSWER}", file=sys.stderr)
    if as_json:
        print_json(_as_json(engine, images, question, answer))
    if explain is not None:
        from ..inference.attention_maps import explain_images

        write_png(explain_images(engine, opened), explain)


def _check_arguments(images: list[str], question: str) -> None:
    """Catch typical mistakes: no arguments, no question, no image, a question without quotes."""
    if not images and not question:
        fail('give an image and a question, e.g. minigemini ask photo.png "What is it?"')
    if Path(question).is_file():
        fail(f"no question after {question}; put it last, in quotes")
    if not question.strip():
        fail("the question is empty; ask something, in quotes")
    if not images:
        fail("no image before the question; name one, or chat without images in `minigemini chat`")
    for image in images:
        if not Path(image).exists():
            fail(f"{image}: no such file; check the path, and put the question last, in quotes")


def _as_json(engine: "Engine", images: list[str], question: str, answer: "Answer") -> dict[str, object]:
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

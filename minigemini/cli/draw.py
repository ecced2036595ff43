"""`minigemini draw`: a request in, a picture out."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .common import (
    GeneratorOption,
    MaxNewTokens,
    Model,
    Ocr,
    OcrConfidence,
    Offload,
    Size,
    Steps,
    Temperature,
    be_quiet,
    check_painter,
    fail,
    one_line_errors,
    parse_sides,
    printable,
)
from .load_options import LoadOptions
from .streams import print_json

if TYPE_CHECKING:
    from ..inference import GeneratedImage
    from ..inference.conversation import RequestStream


@one_line_errors
def draw(
    request: Annotated[str, typer.Argument(metavar="REQUEST", help="What you would like to see; in quotes.")],
    images: Annotated[list[str] | None, typer.Argument(metavar="[PICTURE]...", help="Shown with it.")] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="PNG to write; of several, OUT-1.png and so on.")
    ] = Path("out.png"),
    painter: GeneratorOption = None,
    as_caption: Annotated[
        bool, typer.Option("--caption", help="REQUEST goes to the painter as it is; no model is asked.")
    ] = False,
    seed: Annotated[int | None, typer.Option(help="The same seed draws the same picture.")] = None,
    size: Size = None,
    steps: Steps = None,
    guidance: Annotated[float | None, typer.Option(help="How closely to follow.  [default: the painter's]")] = None,
    negative_prompt: Annotated[str | None, typer.Option("--negative", help="What not to show.")] = None,
    count: Annotated[int, typer.Option("-n", "--count", help="Pictures to draw.")] = 1,
    strength: Annotated[
        float | None, typer.Option(help="Start from the last PICTURE, and change so much of it: above 0, to 1.")
    ] = None,
    offload: Offload = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print what was said and drawn as JSON.")] = False,
    ocr: Ocr = False,
    ocr_confidence: OcrConfidence = 0.1,
    model: Model = "nano",
    max_new_tokens: MaxNewTokens = 256,
    temperature: Temperature = 0.0,
    *,
    loading: LoadOptions,
) -> None:
    """Draw a picture that is asked for.

    The model puts the request into a caption, and the painter draws the caption. Prints what the model says, then
    the file and its caption. The caption is kept in the PNG, too.

    Example: minigemini draw "I would like a red boat below a yellow star" -o boat.png

    Example: minigemini draw "Something that cheers me up" -o cheer.png --model mgm-7b

    Example: minigemini draw "The same, by night" photo.png --strength 0.7 --seed 3 --model mgm-7b

    Example: minigemini draw --caption "a red house in the snow" --painter sdxl-turbo
    """
    be_quiet(model)

    from ..imagegen.presets import default_generator
    from ..images.safe_images import open_image
    from ..inference import GenerationSettings, Sampling
    from ..inference.ocr import RapidOcrEngine
    from ..io.argument_checks import check_text
    from ..io.png import check_target

    # What costs nothing is checked first, before torch is imported: settings, the model's name, then pictures.
    check_text("the request", request)
    sampling = Sampling(max_new_tokens=max_new_tokens, temperature=temperature, seed=seed)
    drawing = GenerationSettings(parse_sides(size), steps, guidance, negative_prompt, count, seed, strength or 0.6)
    loading.check(model)
    check_target(output)
    if not request.strip():
        fail("the request is empty; say what to draw, in quotes")
    opened = [open_image(image) for image in images or []]
    if strength is not None and not opened:
        fail(f"strength {strength:g} starts from a picture; name one after the request")
    start = opened[-1] if strength is not None else None
    painter = painter or default_generator(model)
    check_painter(painter)
    reader = RapidOcrEngine(ocr_confidence) if ocr and not as_caption else None

    if as_caption:
        _tell(loading.load_painter(painter, offload).draw(request, drawing, start), output, "", as_json)
        return

    from ..inference import Conversation

    engine = loading.load(model)
    # Behind the model, so that what is left of a device's memory decides what is offloaded.
    loaded = loading.load_painter(painter, offload)
    conversation = Conversation(engine, opened, reader)
    with conversation.request(request, sampling) as stream:
        if not as_json:
            _print_pieces(stream)
        reply = stream.draw(loaded, drawing, start)
    _tell(reply.images, output, reply.text, as_json)
    if not reply.images:
        fail("nothing drawn: the answer holds no caption; ask in other words, or give the caption with --caption")


def _print_pieces(stream: "RequestStream") -> None:
    said = False
    for piece in stream:
        said = True
        sys.stdout.write(printable(piece))
        sys.stdout.flush()
    if said:
        print(flush=True)


def _tell(drawn: "list[GeneratedImage]", output: Path, text: str, as_json: bool) -> None:
    """Write the pictures, and say where they are."""
    files = [output] if len(drawn) == 1 else [output.with_stem(f"{output.stem}-{n}") for n in range(1, len(drawn) + 1)]
    for image, file in zip(drawn, files, strict=True):
        image.save(file)
        if not as_json:
            print(printable(f"{file}: {image.caption} (seed {image.seed})"))
    if as_json:
        told = [{"file": str(file), **image.described()} for image, file in zip(drawn, files, strict=True)]
        print_json({"answer": text, "pictures": told})

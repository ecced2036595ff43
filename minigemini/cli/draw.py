"""`minigemini draw`: generate an image from a request."""

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
    check_generator,
    check_ocr,
    fail,
    one_line_errors,
    parse_size,
    print_stream,
    printable,
)
from .load_options import LoadOptions
from .streams import print_json

if TYPE_CHECKING:
    from ..inference import GeneratedImage


@one_line_errors
def draw(
    request: Annotated[str, typer.Argument(metavar="REQUEST", help="The image that you want, in quotes.")],
    images: Annotated[
        list[str] | None, typer.Argument(metavar="[IMAGE]...", help="Images that the request refers to.")
    ] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", help="PNG to write; several images become OUT-1.png, OUT-2.png, ….")
    ] = Path("out.png"),
    generator: GeneratorOption = None,
    as_caption: Annotated[
        bool, typer.Option("--caption", help="Pass REQUEST to the image generator unchanged; loads no model.")
    ] = False,
    seed: Annotated[int | None, typer.Option(help="Random seed; the same seed gives the same image.")] = None,
    size: Size = None,
    steps: Steps = None,
    guidance: Annotated[
        float | None,
        typer.Option(help="Guidance scale: how closely to follow the caption.  [default: the generator's]"),
    ] = None,
    negative_prompt: Annotated[str | None, typer.Option("--negative", help="What the image must not show.")] = None,
    count: Annotated[int, typer.Option("-n", "--count", help="Number of images.")] = 1,
    strength: Annotated[
        float | None,
        typer.Option(
            help="Start from the last IMAGE and change it by this much: above 0, at most 1.  [default: no start]"
        ),
    ] = None,
    offload: Offload = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object with the answer and the images.")
    ] = False,
    ocr: Ocr = None,
    ocr_confidence: OcrConfidence = None,
    model: Model = "nano",
    max_new_tokens: MaxNewTokens = 256,
    temperature: Temperature = 0.0,
    *,
    loading: LoadOptions,
) -> None:
    """Generate an image from a request.

    The model turns the request into a caption, and the image generator draws the caption. Prints the model's answer,
    then each file with its caption. The PNG stores the caption too.

    Example: minigemini draw "I would like a red boat below a yellow star" -o boat.png

    Example: minigemini draw "Something that cheers me up" -o cheer.png --model mgm-7b

    Example: minigemini draw "The same, by night" photo.png --strength 0.7 --seed 3 --model mgm-7b

    Example: minigemini draw --caption "a red house in the snow" --generator sdxl-turbo
    """
    be_quiet(model)

    from ..imagegen.presets import default_generator
    from ..images.safe_images import open_image
    from ..inference import GenerationSettings, Sampling
    from ..inference.ocr import choose_reader
    from ..io.argument_checks import check_text
    from ..io.png import check_target

    # Cheap checks come before torch is imported: settings, the model's name, then the images.
    check_text("the request", request)
    sampling = Sampling(max_new_tokens=max_new_tokens, temperature=temperature, seed=seed)
    generation = GenerationSettings(parse_size(size), steps, guidance, negative_prompt, count, seed, strength or 0.6)
    loading.check(model)
    check_target(output)
    if not request.strip():
        fail("the request is empty; say what to draw, in quotes")
    opened = [open_image(image) for image in images or []]
    if strength is not None and not opened:
        fail(f"strength {strength:g} needs an image to start from; name one after the request")
    start = opened[-1] if strength is not None else None
    generator = generator or default_generator(model)
    check_generator(generator)
    check_ocr(ocr and not as_caption, ocr_confidence)

    if as_caption:
        _write_images(loading.load_generator(generator, offload).draw(request, generation, start), output, "", as_json)
        return

    from ..inference import Conversation

    engine = loading.load(model)
    # Loaded after the model, so that the memory left on the device decides what is offloaded.
    image_generator = loading.load_generator(generator, offload)
    reader = choose_reader(ocr, engine.processor.ocr_format, ocr_confidence)
    conversation = Conversation(engine, opened, reader)
    with conversation.request(request, sampling) as stream:
        if not as_json:
            print_stream(stream, blank_if_empty=False)
        reply = stream.draw(image_generator, generation, start)
    _write_images(reply.images, output, reply.text, as_json)
    if not reply.images:
        fail(
            "no image generated: the answer contains no caption; rephrase the request, or give a caption with --caption"
        )


def _write_images(images: "list[GeneratedImage]", output: Path, answer: str, as_json: bool) -> None:
    """Write the images, and print their files and captions."""
    files = [output] if len(images) == 1 else [output.with_stem(f"{output.stem}-{n + 1}") for n in range(len(images))]
    for image, file in zip(images, files, strict=True):
        image.save(file)
        if not as_json:
            print(printable(f"{file}: {image.caption} (seed {image.seed})"))
    if as_json:
        records = [{"file": str(file), **image.described()} for image, file in zip(images, files, strict=True)]
        print_json({"answer": answer, "pictures": records})

"""`minigemini data build`: write a data mixture as shards."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from .common import OcrConfidence, be_quiet, check_folder, fail, one_line_errors
from .data_download import Data
from .data_validate import Images, Ray, Workers

if TYPE_CHECKING:
    from PIL.Image import Image


@dataclass(frozen=True)
class OcrFactory:
    """Creates an OCR engine in each worker process; picklable."""

    confidence: float | None

    def __call__(self) -> "Callable[[Image], list[str]]":
        from ..inference.ocr import RapidOcrEngine

        return RapidOcrEngine(self.confidence).read


@one_line_errors
def build(
    recipe: Annotated[str, typer.Argument(help="MGM-Pretrain, MGM-Instruction, a TOML mixture, or a file of samples.")],
    target: Annotated[str, typer.Argument(metavar="DST", help="Folder or URL (s3, gs, …) to write.")],
    data: Data = Path("data"),
    images: Images = None,
    form: Annotated[str, typer.Option("--form", help="Format: parquet, or webdataset (tar files).")] = "parquet",
    reference: Annotated[
        bool, typer.Option("--reference", help="Store paths of images instead of the images.")
    ] = False,
    trusted: Annotated[bool, typer.Option("--trusted", help="Skip decoding the images to check them.")] = False,
    without: Annotated[
        list[str] | None, typer.Option(metavar="PART", help="Leave out a part of the mixture; may be repeated.")
    ] = None,
    shard_samples: Annotated[int, typer.Option(min=1, help="Samples per shard.")] = 5000,
    ocr: Annotated[
        bool,
        typer.Option("--ocr", help="Add OCR text to the questions of DocVQA, ChartQA, DVQA and AI2D."),
    ] = False,
    ocr_confidence: OcrConfidence = None,
    seed: Annotated[int, typer.Option(help="Random seed for the order and for sampling.")] = 0,
    workers: Workers = 1,
    ray: Ray = None,
) -> None:
    """Build a data mixture as shards.

    DST also gets an index and a data card. Run the command again to resume an interrupted build. The same mixture and
    seed give the same bytes for any number of workers or machines. Bad samples are left out without replacement and
    listed in faults.jsonl. Train on the folder with `data=DST`.

    Example: minigemini data build MGM-Instruction built --data data --ocr --workers 8
    """
    be_quiet("nano")

    from ..dataprep.export import BuildError, build, read_recipe
    from ..dataprep.parallel import ParallelError

    if form not in ("parquet", "webdataset"):
        fail(f"--form is {form}: give parquet or webdataset")
    check_folder("--images", images)
    readers = OcrFactory(ocr_confidence) if ocr else None
    if readers is not None:
        readers()  # reports a missing library now, and not in a worker
    try:
        built = build(
            read_recipe(recipe, images, seed).without(without or ()),
            target,
            data=data,
            form=form,
            inside=not reference,
            trusted=trusted,
            shard_samples=shard_samples,
            readers=readers,
            workers=workers,
            ray=ray,
        )
    except (BuildError, ParallelError, ImportError) as error:
        fail(str(error))
    except OSError as error:
        reason = f"{error.filename or target}: {error.strerror or error}"
        fail(f"{reason}; run the same command again to resume")
    print(f"{target}: {built.index['rows']:,} samples in {len(built.index['shards'])} shards")
    for part in built.index["sources"]:
        print(f"{part['samples']:>10,}  {part['source']}  ({part['licence'] or 'license unknown'})")
    if built.issues:
        print("left out, listed in faults.jsonl:")
        for kind, count in sorted(built.issues.items()):
            print(f"{count:>10,}  {kind}")
    if not built.index["rows"]:
        fail(f"{target}: no valid samples; run `minigemini data validate` on the input to see why")

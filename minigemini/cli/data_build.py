"""`minigemini data build`: from a recipe to shards."""

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
class Readers:
    """Makes what reads the strings in pictures, in each process."""

    confidence: float

    def __call__(self) -> "Callable[[Image], list[str]]":
        from ..inference.ocr import RapidOcrEngine

        return RapidOcrEngine(self.confidence).read


@one_line_errors
def build(
    recipe: Annotated[str, typer.Argument(help="MGM-Pretrain, MGM-Instruction, a TOML recipe, or a file of samples.")],
    target: Annotated[str, typer.Argument(metavar="DST", help="Folder or URL (s3, gs, …) to make.")],
    data: Data = Path("data"),
    images: Images = None,
    form: Annotated[str, typer.Option("--form", help="parquet, or webdataset (tar files).")] = "parquet",
    reference: Annotated[bool, typer.Option("--reference", help="Keep pictures by their paths, not inside.")] = False,
    trusted: Annotated[
        bool, typer.Option("--trusted", help="Do not decode pictures to see if they are whole.")
    ] = False,
    without: Annotated[
        list[str] | None, typer.Option(metavar="PART", help="Leave a part out; may be repeated.")
    ] = None,
    shard_samples: Annotated[int, typer.Option(min=1, help="Samples of a shard.")] = 5000,
    ocr: Annotated[
        bool,
        typer.Option("--ocr", help="Put what pictures say into the questions of DocVQA, ChartQA, DVQA, AI2D."),
    ] = False,
    ocr_confidence: OcrConfidence = 0.1,
    seed: Annotated[int, typer.Option(help="Of the order, and of what is drawn.")] = 0,
    workers: Workers = 1,
    ray: Ray = None,
) -> None:
    """Write a mixture as shards.

    They come with an index and a card; the same command goes on with a build that was stopped. The same recipe and
    seed give the same bytes, however many workers or machines there are. Faulty samples are listed in faults.jsonl,
    and nothing takes their place. Training reads the folder: `data=DST`.

    Example: minigemini data build MGM-Instruction built --data data --ocr --workers 8
    """
    be_quiet("nano")

    from ..dataprep.export import BuildError, build, read_recipe
    from ..dataprep.parallel import ParallelError

    if form not in ("parquet", "webdataset"):
        fail(f"--form is {form}: give parquet or webdataset")
    check_folder("--images", images)
    readers = Readers(ocr_confidence) if ocr else None
    if readers is not None:
        readers()  # what is missing is said before the work, not by a worker
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
        said = f"{error.filename or target}: {error.strerror or error}"
        fail(f"{said}; what is written stays, and the same command goes on")
    print(f"{target}: {built.index['rows']:,} samples in {len(built.index['shards'])} shards")
    for part in built.index["sources"]:
        print(f"{part['samples']:>10,}  {part['source']}  ({part['licence'] or 'licence not known'})")
    if built.issues:
        print("left out, each in faults.jsonl:")
        for kind, count in sorted(built.issues.items()):
            print(f"{count:>10,}  {kind}")
    if not built.index["rows"]:
        fail(f"{target}: no sample of it is good; `minigemini data doctor` says more")

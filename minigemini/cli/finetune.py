"""`minigemini finetune`: fine-tune a model on the user's own data."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from .common import Model, be_quiet, check_folder, fail, need, one_line_errors, printable
from .data_validate import Images


@one_line_errors
def finetune(
    data: Annotated[Path, typer.Argument(help="File or folder of samples, in any format of docs/data.md.")],
    settings: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings that override the proposed recipe's.")
    ] = None,
    model: Model = "nano",
    images: Images = None,
    lora: Annotated[
        bool | None,
        typer.Option(
            "--lora/--full", help="Train an adapter, or the whole language model.  [default: by size and memory]"
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(help="Folder of the run; repeat the command to resume it.  [default: runs/DATA-MODEL]"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what was found and the plan, and exit.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Train without asking.")] = False,
    threads: Annotated[int, typer.Option(min=1, help="Threads of this process.")] = 1,
) -> None:
    """Fine-tune a model on your data.

    Looks at the data, holds out up to a tenth of it, proposes a recipe with its memory and time, trains, and scores the
    held-out part before and after. Leaves an adapter or a checkpoint, and report.html. Run the command again to resume.

    Example: minigemini finetune mine.jsonl --model nano --yes
    """
    be_quiet(model)

    from ..io.checkpoint import check_name

    check_folder("--images", images)
    check_name(model)
    if not data.exists():
        fail(f"{data}: no such file or folder; give the file of samples")
    need("train", "accelerate")
    if lora:
        need("lora", "peft")
    if not (yes or dry_run or sys.stdin.isatty()):
        fail("nobody can be asked whether to train; give --yes, or --dry-run to see the plan")
    import torch

    from ..data.bad_samples import TooManyBadSamplesError
    from ..data.readers import SourceError
    from ..finetuning.run_finetuning import plan, run
    from ..training.checkpointing import DamagedFileError
    from ..training.settings import RecipeError, parse_settings

    torch.set_num_threads(threads)
    invalid = (
        RecipeError,
        SourceError,
        DamagedFileError,
        TooManyBadSamplesError,
        FloatingPointError,
        ModuleNotFoundError,
    )
    folder = output or Path("runs") / f"{data.absolute().stem}-{Path(model).name}"
    try:
        planned = plan(data, model, folder, images=images, lora=lora, settings=parse_settings(settings or []))
        print(printable(planned.text()))
        if dry_run or not (yes or typer.confirm("Train?", default=True)):
            return
        report = run(planned)
    except invalid as error:
        fail(str(error))
    except KeyboardInterrupt:
        print(f"\nstopped; run the same command again to go on in {folder}", file=sys.stderr)
        raise
    before, after = (report["scores"][when][report["score"]] for when in ("before", "after"))
    print(f"{report['score']} on {report['held_out']} held-out samples: {before:.3f} before, {after:.3f} after")
    print(f"report: {folder / 'report.html'}")
    print(printable("\n".join(report["commands"])))

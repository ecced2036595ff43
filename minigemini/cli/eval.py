"""`minigemini eval`: measure checkpoints by the drawn world's skills and the paper's benchmarks."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from .common import MODEL_HELP, be_quiet, check_folder, fail, one_line_errors
from .load_options import LoadOptions


def _complete(incomplete: str) -> list[str]:
    from ..evaluation.registry import tasks

    return [name for name in tasks() if name.startswith(incomplete)]


@one_line_errors
def evaluate(
    tasks: Annotated[
        list[str] | None, typer.Argument(metavar="TASK…", help="--list shows them.", autocompletion=_complete)
    ] = None,
    models: Annotated[
        list[str] | None, typer.Option("--model", help=f"{MODEL_HELP} May be repeated.  [default: nano]")
    ] = None,
    show_list: Annotated[bool, typer.Option("--list", help="Name every task and its files, and stop.")] = False,
    data: Annotated[Path | None, typer.Option(help="Folder of the benchmarks' official files.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Samples per task, evenly spread; of the drawn world per skill.")
    ] = None,
    backend: Annotated[
        str | None,
        typer.Option(
            help="`vllm` starts a server of the model for this run, and options of `vllm serve` may follow; or the URL "
            "of an OpenAI-compatible one.  [default: Transformers]"
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Folder of the run; run again to go on.  [default: runs/eval/TASKS]"),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Questions asked together.")] = 32,
    workers: Annotated[int, typer.Option(min=0, help="Processes that prepare pictures.")] = 1,
    judge: Annotated[str | None, typer.Option(help="URL of an OpenAI-compatible judge.")] = None,
    judge_model: Annotated[str | None, typer.Option(help="The judge's name there.")] = None,
    compare: Annotated[
        list[Path] | None, typer.Option(help="Folder of another run to stand beside; may be repeated.")
    ] = None,
    gallery: Annotated[int, typer.Option(min=0, help="Samples per task and model on the page.")] = 40,
    *,
    loading: LoadOptions,
) -> None:
    """Measure checkpoints on benchmarks and on nano's own tasks.

    Prints a Markdown table, and leaves report.md and index.html. A killed run goes on when the command is repeated.

    Example: minigemini eval textvqa_ocr mme --model mgm-7b --data ~/benchmarks
    """
    if show_list:
        return _list()
    if not tasks:
        fail("name a task; `minigemini eval --list` shows them")
    models = models or ["nano"]
    for model in models:
        be_quiet(model)

    from ..evaluation.registry import find_tasks
    from ..evaluation.task import DataError

    # What costs nothing is checked first, before torch is imported.
    find_tasks(tasks)
    if backend is None:
        loading.check(*models)
    check_folder("--data", data)
    for folder in compare or ():
        check_folder("--compare", folder)

    from ..evaluation.command import EvaluationSettings, run

    settings = EvaluationSettings(
        tasks=tuple(tasks),
        models=tuple(models),
        data=data,
        limit=limit,
        backend=backend,
        output=output or Path("runs/eval") / "+".join(tasks),
        batch_size=batch_size,
        workers=workers,
        judge=judge,
        judge_model=judge_model,
        compare=tuple(compare or ()),
        gallery=gallery,
        **asdict(loading),
    )
    try:
        table = run(settings)
    except (DataError, ModuleNotFoundError, OSError) as error:
        fail(str(error))
    print(table)


def _list() -> None:
    from ..evaluation.registry import tasks

    known = tasks()
    width = max(map(len, known)) + 2
    for name, task in known.items():
        print(f"{name:{width}}{task.title}" + (f"; reads {task.files}" if task.files else ""))
        if task.judge_role:
            print(f"{'':{width}}a judge {task.judge_role}")

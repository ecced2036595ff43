"""`minigemini eval`: evaluate checkpoints on synthetic tasks and on the paper's benchmarks."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from .common import MODEL_HELP, Ocr, be_quiet, check_folder, check_ocr, fail, one_line_errors
from .eval_file import Metric, read_data_file, split_arguments
from .load_options import LoadOptions


def _complete(incomplete: str) -> list[str]:
    from ..evaluation.registry import tasks

    return [name for name in tasks() if name.startswith(incomplete)]


@one_line_errors
def evaluate(
    tasks: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TASK…",
            help="Names of tasks, as --list shows them, or files of conversations whose last answers are the truth.",
            autocompletion=_complete,
        ),
    ] = None,
    models: Annotated[
        list[str] | None, typer.Option("--model", help=f"{MODEL_HELP} May be repeated.  [default: nano]")
    ] = None,
    show_list: Annotated[
        bool, typer.Option("--list", help="List every task and the files it reads, and exit.")
    ] = False,
    data: Annotated[Path | None, typer.Option(help="Folder with the benchmarks' official files.")] = None,
    metric: Annotated[
        Metric | None,
        typer.Option(
            help="How answers to a file's questions are scored; judge needs --judge.  [default: what suits its answers]"
        ),
    ] = None,
    images: Annotated[Path | None, typer.Option(help="Folder that image paths in a file are relative to.")] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Samples per task, evenly spread; for synthetic tasks, samples per skill.")
    ] = None,
    backend: Annotated[
        str | None,
        typer.Option(
            help="`vllm`, with options of `vllm serve` if needed, starts a vLLM server for this run; a URL uses a "
            "running OpenAI-compatible server.  [default: Transformers]"
        ),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "-o", "--output", help="Folder of the run; repeat the command to resume it.  [default: runs/eval/TASKS]"
        ),
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Questions per batch.")] = 32,
    workers: Annotated[int, typer.Option(min=0, help="Processes that preprocess images.")] = 1,
    judge: Annotated[
        str | None, typer.Option(help="URL of the OpenAI-compatible server that runs the LLM judge.")
    ] = None,
    judge_model: Annotated[str | None, typer.Option(help="Name of the judge model on that server.")] = None,
    compare: Annotated[
        list[Path] | None, typer.Option(help="Folder of another run to compare with; may be repeated.")
    ] = None,
    gallery: Annotated[int, typer.Option(min=0, help="Samples per task and model in the HTML report.")] = 40,
    ocr: Ocr = None,
    *,
    loading: LoadOptions,
) -> None:
    """Evaluate checkpoints on benchmarks and synthetic tasks.

    Prints a Markdown table, and writes report.md and index.html. Run the command again to resume an interrupted run.

    Example: minigemini eval textvqa_ocr mme --model mgm-7b --data ~/benchmarks

    Example: minigemini eval questions.jsonl --images photos --metric anls --model ./my-model
    """
    if show_list:
        return _list()
    if not tasks:
        fail("name a task; `minigemini eval --list` lists them")
    models = models or ["nano"]
    for model in models:
        be_quiet(model)

    from ..evaluation.registry import find_tasks
    from ..evaluation.task import DataError

    # Cheap checks come before torch is imported.
    names, paths = split_arguments(tasks)
    find_tasks(names)
    if not paths and (metric or images):
        fail("--metric and --images apply to files; name one, such as questions.jsonl")
    if metric is Metric.judge and judge is None:
        fail("--metric judge needs a judge; give --judge URL")
    if len({path.name for path in paths}) < len(paths):
        fail("two files have the same name, which names their scores; rename one")
    if backend is None:
        loading.check(*models)
    elif ocr is not None:
        fail("--ocr and --no-ocr are for models in this process; leave them out with --backend")
    check_ocr(ocr)
    check_folder("--data", data)
    check_folder("--images", images)
    for folder in compare or ():
        check_folder("--compare", folder)

    from ..evaluation.command import EvaluationSettings, run

    try:
        data_files = tuple(read_data_file(path, images, metric and metric.value) for path in paths)
    except (ValueError, ModuleNotFoundError, OSError) as error:
        fail(str(error))
    settings = EvaluationSettings(
        tasks=tuple(names),
        data_files=data_files,
        metric=metric and metric.value,
        images=images,
        models=tuple(models),
        data=data,
        limit=limit,
        backend=backend,
        output=output or Path("runs/eval") / "+".join([*names, *(path.name for path in paths)]),
        batch_size=batch_size,
        workers=workers,
        judge=judge,
        judge_model=judge_model,
        compare=tuple(compare or ()),
        gallery=gallery,
        ocr=ocr,
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

"""`minigemini data validate`: find problems in data before training on it."""

import json
from pathlib import Path
from typing import Annotated

import typer

from .common import be_quiet, check_folder, check_outputs, fail, one_line_errors

Images = Annotated[Path | None, typer.Option("--images", help="Folder that image paths are relative to.")]
Workers = Annotated[int, typer.Option("--workers", min=1, help="Number of processes.")]
Ray = Annotated[str | None, typer.Option("--ray", help="Run on a Ray cluster: its address, or auto.")]


@one_line_errors
def validate(
    path: Annotated[
        Path, typer.Argument(help="A file or folder of samples, in any format of docs/data.md, or a manifest.")
    ],
    images: Images = None,
    evaluation: Annotated[
        list[Path] | None,
        typer.Option(help="Images of an evaluation set, or JSON that names them; may be repeated."),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help="Count tokens with this model's tokenizer (nano, folder, hub id); may be repeated."),
    ] = None,
    fix: Annotated[
        Path | None, typer.Option(metavar="X.manifest", help="Write a manifest that leaves out bad samples.")
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="KIND", help="Also leave out this kind of minor issue; may be repeated.")
    ] = None,
    page: Annotated[
        Path | None, typer.Option(metavar="X.html", help="Write an HTML page that shows the issues.")
    ] = None,
    as_json: Annotated[Path | None, typer.Option("--json", metavar="X.json", help="Write all issues as JSON.")] = None,
    workers: Workers = 1,
    ray: Ray = None,
) -> None:
    """Find problems in data before training on it.

    Reads every record and every image once, and reports broken samples, duplicates and overlap with evaluation sets.
    Train on the manifest that --fix writes in place of the file: `data=X.manifest`. Also available as `data doctor`.

    Example: minigemini data validate mix.json --images pictures --fix mix.manifest --page mix.html
    """
    be_quiet("nano")

    from ..data.readers import SourceError, open_reader
    from ..data.readers.manifest import SUFFIX, write_manifest
    from ..dataprep.parallel import ParallelError
    from ..dataprep.validate import validate
    from ..dataprep.validate.evaluation_overlap import read_evaluation_set
    from ..dataprep.validate.issues import KINDS
    from ..dataprep.validate.record_checks import TemplateTokens
    from ..dataprep.validate.validation_report import as_json as plain
    from ..dataprep.validate.validation_report import as_page, as_text, exclusions
    from ..io.atomic_write import atomic_write
    from ..io.checkpoint import check_name

    if unknown := sorted(set(exclude or ()) - set(KINDS)):
        fail(f"unknown kind of issue {unknown[0]!r}; choose from {', '.join(KINDS)}")
    if fix and (fix.suffix != SUFFIX or not path.is_file() or path.suffix == SUFFIX):
        fail(f"--fix writes an X{SUFFIX} for a single file of samples; give a file, and a name that ends in {SUFFIX}")
    check_folder("--images", images)
    check_outputs(fix, page, as_json)
    for name in model or ():
        check_name(name)
    try:
        reader = open_reader(path, images, skip_broken=True)
        sets = [read_evaluation_set(one, workers) for one in evaluation or ()]
        counters = {}
        if model:
            from ..io.loading import find_processor  # imports torch

            counters = {name: TemplateTokens(find_processor(name)) for name in model}
        found = validate(reader, evaluation=sets, counters=counters, workers=workers, ray=ray)
    except (SourceError, ParallelError, ModuleNotFoundError) as error:
        fail(str(error))
    print(as_text(found))
    for target, text in ((page, as_page), (as_json, lambda of: json.dumps(plain(of), indent=1, ensure_ascii=False))):
        if target:
            with atomic_write(target) as aside:
                aside.write_text(text(found), encoding="utf-8", errors="backslashreplace")
            print(f"wrote {target}")
    if fix:
        write_manifest(fix, path, images, len(reader), exclusions(found, images, exclude or ()))
        print(f"wrote {fix}")

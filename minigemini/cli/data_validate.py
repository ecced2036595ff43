"""`minigemini data doctor`: what is wrong with data, before it is trained on."""

import json
from pathlib import Path
from typing import Annotated

import typer

from .common import be_quiet, check_folder, check_outputs, fail, one_line_errors

Images = Annotated[Path | None, typer.Option("--images", help="Folder that its pictures' paths start from.")]
Workers = Annotated[int, typer.Option("--workers", min=1, help="Processes.")]
Ray = Annotated[str | None, typer.Option("--ray", help="Address of a Ray cluster, or auto: work there.")]


@one_line_errors
def doctor(
    path: Annotated[Path, typer.Argument(help="JSON list or lines, Parquet, tar, manifest, or a built folder.")],
    images: Images = None,
    evaluation: Annotated[
        list[Path] | None,
        typer.Option(help="Pictures of an evaluation set, or JSON that names them; may be repeated."),
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="Count tokens as this model does (nano, folder, hub id); may be repeated.")
    ] = None,
    fix: Annotated[Path | None, typer.Option(metavar="X.manifest", help="Write a list of what to leave out.")] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="KIND", help="Leave out what is only noted, too; may be repeated.")
    ] = None,
    page: Annotated[
        Path | None, typer.Option(metavar="X.html", help="Write a page with pictures of the finds.")
    ] = None,
    as_json: Annotated[Path | None, typer.Option("--json", metavar="X.json", help="Write all finds.")] = None,
    workers: Workers = 1,
    ray: Ray = None,
) -> None:
    """Examine data before it is trained on.

    Reads every record and every picture once, and says what is broken, doubled, or of an evaluation set. The
    manifest that --fix writes is trained on in place of the file: `data=X.manifest`.

    Example: minigemini data doctor mix.json --images pictures --fix mix.manifest --page mix.html
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
        fail(f"nothing is called {unknown[0]!r}; there is {', '.join(KINDS)}")
    if fix and (fix.suffix != SUFFIX or not path.is_file() or path.suffix == SUFFIX):
        fail(f"--fix writes an X{SUFFIX} of one file of samples; name such a file")
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

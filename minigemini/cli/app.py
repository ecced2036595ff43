"""The `minigemini` command: registers the subcommands, each of which has a file of its own."""

from typing import Annotated

import typer

from ..plugins import plugins
from . import (
    ask,
    assemble,
    chat,
    compare,
    convert,
    data,
    draw,
    eval,
    export,
    finetune,
    info,
    merge,
    package,
    pull,
    serve,
    train,
    verify,
    web,
)

app = typer.Typer(
    no_args_is_help=True,
    # Rich would double the time of --help, and its tracebacks would show local values such as prompts.
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def _print_version(requested: bool) -> None:
    if requested:
        from importlib.metadata import version

        print(f"minigemini {version('minigemini')}")
        raise typer.Exit


@app.callback()
def minigemini(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version, and exit.")
    ] = False,
) -> None:
    """Ask, train, evaluate and serve Mini-Gemini models. The embedded model `nano` works offline;
    `minigemini pull small` gets the model for photographs.

    Example: minigemini ask photo.png "What is in the picture?"
    """


app.command("ask")(ask.ask)
app.command("chat")(chat.chat)
app.command("draw")(draw.draw)
app.command("pull")(pull.pull)
app.command("info")(info.info)
app.command("convert")(convert.convert)
app.command("assemble")(assemble.assemble)
app.command("merge")(merge.merge)
app.command("export")(export.export)
app.command("package")(package.package)
app.command("verify")(verify.verify)
app.command("train")(train.train)
app.command("finetune")(finetune.finetune)
app.command("eval")(eval.evaluate)
app.command("compare")(compare.compare)
app.command("serve")(serve.serve)
app.command("web")(web.web)
app.add_typer(data.data, name="data")
for verb, entry in plugins("commands").items():
    app.command(verb)(entry.load())

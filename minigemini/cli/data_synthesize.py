"""`minigemini data synthesize`: requests and captions for drawing, from descriptions and conversations."""

import os
from pathlib import Path
from typing import Annotated

import typer

from .common import fail, one_line_errors


@one_line_errors
def synthesize(
    output: Annotated[Path, typer.Argument(metavar="OUT.json", help="JSON list to write, in the published format.")],
    re_caption: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Published records whose last answer describes a picture.")
    ] = None,
    in_context: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Published records of conversations without pictures.")
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(metavar="URL", help="An OpenAI-compatible API, e.g. http://127.0.0.1:8000/v1.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="By the endpoint's name for it.")] = None,
    api_key_env: Annotated[
        str, typer.Option(metavar="NAME", help="Environment variable that holds the key.")
    ] = "OPENAI_API_KEY",
    examples: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Captions to show as examples, one a line.  [default: ours]")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Most samples of each file.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests under way at once.")] = 8,
    timeout: Annotated[float, typer.Option(min=0.1, help="Seconds for one whole answer.")] = 120.0,
    temperature: Annotated[float, typer.Option(min=0.0, help="Of sampling.")] = 0.7,
    price_in: Annotated[float, typer.Option(min=0.0, help="US dollars per million tokens read.")] = 0.0,
    price_out: Annotated[float, typer.Option(min=0.0, help="US dollars per million tokens written.")] = 0.0,
    budget: Annotated[float | None, typer.Option(min=0.0, help="US dollars at which asking ends.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Of the examples that are shown.")] = 0,
    only_estimate: Annotated[bool, typer.Option("--estimate", help="Say what it will take, and stop.")] = False,
) -> None:
    """Generate requests and captions with a language model.

    A strong one writes them for drawing, as for the paper's 13K generation set. What has been answered is kept in
    OUT.journal.jsonl: run again to go on, and nothing is asked twice. At the end OUT.json holds what was in the
    format asked for, and OUT.report.json counts the rest by reason.

    Example: minigemini data synthesize generation.json --re-caption laion-gpt4v.json --in-context lima.json
    --endpoint http://127.0.0.1:8000/v1 --model my-llm --price-in 2 --price-out 8
    """
    from ..dataprep import synthesize

    settings = synthesize.SynthesisSettings(
        output, re_caption, in_context, examples, limit, seed, price_in, price_out, budget
    )
    if output.suffix != ".json" or not output.parent.is_dir():
        fail(f"{output}: give a name that ends in .json, in a folder that is there")
    try:
        print(synthesize.estimate(settings, synthesize.build_requests(settings)[0]).text(), flush=True)
        if only_estimate:
            return
        if endpoint is None or model is None:
            fail("name the --endpoint and the --model to ask, or --estimate alone")
        if not endpoint.startswith(("http://", "https://")):
            fail(f"endpoint {endpoint}: an address begins with http:// or https://")
        asked = synthesize.Endpoint(
            endpoint,
            model,
            os.environ.get(api_key_env) or "none",
            concurrency=concurrency,
            temperature=temperature,
            timeout_s=timeout,
        )
        print(synthesize.synthesize(settings, asked).text())
    except (synthesize.SynthesisError, synthesize.JournalError, synthesize.EndpointError) as error:
        fail(str(error))

"""`minigemini data synthesize`: generate requests and captions for image generation with a language model."""

from pathlib import Path
from typing import Annotated

import typer

from .common import fail, one_line_errors


@one_line_errors
def synthesize(
    output: Annotated[Path, typer.Argument(metavar="OUT.json", help="JSON list to write, in the published format.")],
    re_caption: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Published records whose last answer describes an image.")
    ] = None,
    in_context: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Published records of conversations without images.")
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(metavar="URL", help="URL of an OpenAI-compatible API, e.g. http://127.0.0.1:8000/v1.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="Name of the model at the endpoint.")] = None,
    api_key_env: Annotated[
        str, typer.Option(metavar="NAME", help="Environment variable that holds the API key.")
    ] = "OPENAI_API_KEY",
    examples: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Example captions, one per line.  [default: a built-in list]")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Maximum number of samples per file.")] = None,
    concurrency: Annotated[int, typer.Option(min=1, help="Concurrent requests.")] = 8,
    timeout: Annotated[float, typer.Option(min=0.1, help="Timeout for one answer, seconds.")] = 120.0,
    temperature: Annotated[float, typer.Option(min=0.0, help="Sampling temperature.")] = 0.7,
    price_in: Annotated[float, typer.Option(min=0.0, help="Price in US dollars per million input tokens.")] = 0.0,
    price_out: Annotated[float, typer.Option(min=0.0, help="Price in US dollars per million output tokens.")] = 0.0,
    budget: Annotated[float | None, typer.Option(min=0.0, help="Stop when this many US dollars are spent.")] = None,
    seed: Annotated[int, typer.Option(min=0, help="Random seed for choosing examples.")] = 0,
    only_estimate: Annotated[
        bool, typer.Option("--estimate", help="Print the estimated tokens and cost, and exit.")
    ] = False,
) -> None:
    """Generate image requests and captions with an LLM.

    Reproduces the method behind the paper's 13K image generation set; use a strong language model. Answers are kept in
    OUT.journal.jsonl, so running the command again resumes without repeating a request. OUT.json gets the answers that
    have the required format, and OUT.report.json counts the others by reason.

    Example: minigemini data synthesize generation.json --re-caption laion-gpt4v.json --in-context lima.json
    --endpoint http://127.0.0.1:8000/v1 --model my-llm --price-in 2 --price-out 8
    """
    from ..dataprep import synthesize
    from ..io.openai_client import ChatClient, RetryPolicy

    settings = synthesize.SynthesisSettings(
        output, re_caption, in_context, examples, limit, seed, price_in, price_out, budget
    )
    if output.suffix != ".json" or not output.parent.is_dir():
        fail(f"{output}: the name must end in .json and its folder must exist")
    try:
        print(synthesize.estimate(settings, synthesize.build_requests(settings)[0]).text(), flush=True)
        if only_estimate:
            return
        if endpoint is None or model is None:
            fail("give --endpoint and --model, or --estimate")
        client = ChatClient(endpoint, model, key_variable=api_key_env, retries=RetryPolicy(timeout_s=timeout))
        print(synthesize.synthesize(settings, synthesize.Endpoint(client, concurrency, temperature)).text())
    except (synthesize.SynthesisError, synthesize.JournalError, synthesize.EndpointError) as error:
        fail(str(error))

"""Time to first token, decoding and memory of Mini-Gemini beside LLaVA-NeXT, LLaVA and nanoVLM's architecture.

    python benchmarks/against.py count                        # FLOPs, tokens and bytes, from shapes alone: 5 minutes
    python benchmarks/against.py time --repetitions 2         # whole answers with SmolLM2-135M's shape
    python benchmarks/against.py prefill --language 1B        # prompts alone, the whole language model
    python benchmarks/against.py prefill --language 7B --layers 2 --packed    # as commands of ours load a model
    python benchmarks/against.py memory                       # the first answer of fresh processes
    python benchmarks/against.py report                       # the tables of all that was counted and measured

All systems of `time` are in one process, share their language model and encoders, and take turns. Everything is in
float32 unless `--dtype` says otherwise. Figures are added to a file (`--keep`), so that each part can be run again;
`report` takes the fastest run, because other programs only ever add time. Beside other programs, `--clock cpu` measures
processor seconds of one thread; the report compares only what the same clock measured. `--system`, `--image` and
`--language` select. Images whose work is equal by count are measured once. With a larger language model, time to first
token is that of the encoders, measured with the small one and scaled by FLOPs to the larger projector, and that of the
prompt, interpolated by FLOPs between the lengths measured; so are cases that were not measured whole, marked by ~.
"""

import argparse
import functools
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from against_counts import Count, count, input_shapes, language_model
from against_systems import IMAGES, LANGUAGE_MODELS, OTHER_TOKEN, PACKED, SYSTEMS, Pool, language_config, open_image
from harness import peak_mib, seconds
from transformers import LlamaForCausalLM
from transformers.generation.streamers import BaseStreamer

from minigemini.inference.packed_decoder import PackedDecoder
from minigemini.inference.packed_linear import pack
from minigemini.inference.packed_model import pack_model

KEPT = Path(__file__).parent / "results" / "against.jsonl"
CLOCKS = {"wall": time.perf_counter, "cpu": time.process_time}
NEW_TOKENS, WARM_UP_TOKENS = 9, 64
PROMPTS = (96, 608, 2960)
"""Tokens of the prompts for larger language models: those of nanoVLM, of LLaVA, and the longest of LLaVA-NeXT."""


class Clock(BaseStreamer):
    """Notes when `generate` hands over the prompt and each token."""

    def __init__(self, now: Callable[[], float]) -> None:
        self.now, self.times = now, list[float]()

    def put(self, value: Any) -> None:
        self.times.append(self.now())

    def end(self) -> None: ...


class Kept:
    """What was counted and measured, in a file of one record a line."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self.records = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def add(self, **record: Any) -> None:
        self.records.append(record)
        with self.path.open("a") as file:
            file.write(json.dumps(record) + "\n")
        print(json.dumps(record), flush=True)

    def find(self, **wanted: Any) -> list[dict[str, Any]]:
        return [record for record in self.records if record.items() >= wanted.items()]

    def count(self, system: str, image: str, language: str) -> Count:
        """The count of a case, made now if it is not kept; packed weights change nothing."""
        system = system.removesuffix(PACKED)
        names = {"kind": "count", "system": system, "image": image, "language": language}
        if not self.find(**names):
            inputs = input_shapes(SYSTEMS[system], open_image(image))
            alike = self.find(kind="count", system=system, language=language, inputs=inputs)
            fields = alike[0] if alike else asdict(count(SYSTEMS[system], language_config(language), inputs))
            self.add(**{"inputs": inputs, **fields, **names})
        fields = self.find(**names)[-1]
        return Count(**{name: fields[name] for name in Count.__dataclass_fields__})


def distinct(kept: Kept, args: argparse.Namespace, language: str) -> Iterator[tuple[str, str]]:
    """The first image of each system among those that cost it the same."""
    seen = set()
    for image in args.image:
        for system in args.system:
            counted = kept.count(system, image, language)
            if (work := (system, counted.encode_flops, counted.prompt_tokens)) not in seen:
                seen.add(work)
                yield system, image


def answer(model: Any, system: str, image: str, visual_tokens: int, clock: str = "wall") -> dict[str, float]:
    """Answer once: seconds to prepare the image, to encode it, from there to the first token, and for a further one."""
    now = CLOCKS[clock]
    encoding: list[float] = []
    encode = type(model.model).get_image_features.__get__(model.model)

    @functools.wraps(encode)  # `generate` reads its signature
    def timed(*args: Any, **kwargs: Any) -> Any:
        start = now()
        result = encode(*args, **kwargs)
        encoding.append(now() - start)
        return result

    model.model.get_image_features = timed
    picture, streamer = open_image(image), Clock(now)
    dtype = model.get_input_embeddings().weight.dtype
    start = now()
    inputs = SYSTEMS[system].inputs(picture, visual_tokens)
    inputs |= {name: pixels.to(dtype) for name, pixels in inputs.items() if name.endswith("pixel_values")}
    prepared = now()
    settings = {"do_sample": False, "eos_token_id": None, "pad_token_id": 0}
    model.generate(**inputs, max_new_tokens=NEW_TOKENS, streamer=streamer, **settings)
    _, first, *_, last = streamer.times
    return {
        "prepare": prepared - start,
        "encode": sum(encoding),
        "prefill": first - prepared - sum(encoding),
        "token": (last - first) / (NEW_TOKENS - 1),
    }


def build(system: str, pool: Pool, text: Any) -> Any:
    model = pool.build(SYSTEMS[system].build, text)
    if SYSTEMS[system].packed:
        pack_model(model)  # type: ignore[arg-type]
    return model


def measure_answers(kept: Kept, args: argparse.Namespace) -> None:
    """Measure whole answers of every system, in turns."""
    language, dtype = args.language[0], args.dtype
    cases = list(distinct(kept, args, language))
    pool, text = Pool(getattr(torch, dtype)), language_config(language)
    models: Any = {name: build(name, pool, text) for name in dict.fromkeys(system for system, _ in cases)}
    for turn in range(args.repetitions):
        for system, image in cases[:: -1 if turn % 2 else 1]:  # to and fro, so that no side is favored
            visual_tokens = kept.count(system, image, language).visual_tokens
            names = {"system": system, "image": image, "language": language, "dtype": dtype, "clock": args.clock}
            kept.add(kind="time", **names, **answer(models[system], system, image, visual_tokens, args.clock))


def measure_prompts(kept: Kept, args: argparse.Namespace) -> None:
    """Measure a language model on prompts of several lengths: its layers, or some of them, and its head."""
    language, dtype, now = args.language[0], getattr(torch, args.dtype), CLOCKS[args.clock]
    text = language_config(language, args.layers)
    scale = language_config(language).num_hidden_layers / text.num_hidden_layers
    model: Any = Pool(dtype).build(LlamaForCausalLM, text)
    if args.packed:
        model.model, model.lm_head = PackedDecoder(model.model), pack(model.lm_head)

    def run(tokens: int) -> dict[str, float]:
        embeddings = model.get_input_embeddings()(torch.full((1, tokens), OTHER_TOKEN))
        kept_states: Any = {}

        def layers(states: Any, cache: Any = None) -> None:
            kept_states["output"] = model.model(inputs_embeds=states, past_key_values=cache, use_cache=True)

        def head() -> None:
            model.lm_head(kept_states["output"].last_hidden_state[:, -1:])

        prefill = scale * seconds(lambda: layers(embeddings), now) + seconds(head, now)
        token = 0.0
        for _ in range(NEW_TOKENS - 1):
            cache = kept_states["output"].past_key_values
            token += scale * seconds(lambda: layers(embeddings[:, :1], cache), now) + seconds(head, now)  # noqa: B023
        return {"prefill": prefill, "token": token / (NEW_TOKENS - 1)}

    run(WARM_UP_TOKENS)
    for turn in range(args.repetitions):
        for tokens in args.prompts[:: -1 if turn % 2 else 1]:
            names = {"language": language, "layers": text.num_hidden_layers, "dtype": args.dtype, "clock": args.clock}
            kept.add(kind="prefill", **names, packed=args.packed, tokens=tokens, **run(tokens))


def measure_memory(kept: Kept, args: argparse.Namespace) -> None:
    """Measure the first answers of fresh processes."""
    language = args.language[0]
    for system, image in distinct(kept, args, language):
        words = [sys.executable, __file__, "first", "--system", system, "--image", image, "--language", language]
        words += ["--threads", str(args.threads), "--keep", str(kept.path)]
        output = subprocess.run(words, capture_output=True, text=True, check=True).stdout
        kept.add(
            kind="memory", system=system, image=image, language=language, peak_bytes=float(output.split()[-1]) * 2**20
        )


def first_answer(kept: Kept, args: argparse.Namespace) -> None:
    """Print the anonymous memory in MiB that a first answer needs above the weights."""
    system, image, text = args.system[0], args.image[0], language_config(args.language[0])
    model = build(system, Pool(getattr(torch, args.dtype)), text)
    language_model(model)(torch.full((1, 1), OTHER_TOKEN))  # what libraries allocate once
    visual_tokens = kept.count(system, image, args.language[0]).visual_tokens
    print(peak_mib(lambda: answer(model, system, image, visual_tokens)))


def count_all(kept: Kept, args: argparse.Namespace) -> None:
    for language in args.language:
        for system in args.system:
            for image in args.image:
                kept.count(system, image, language)


def main() -> None:
    from against_report import report

    actions = {
        "count": count_all,
        "time": measure_answers,
        "prefill": measure_prompts,
        "memory": measure_memory,
        "first": first_answer,
        "report": report,
    }
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=actions)
    parser.add_argument("--system", nargs="+", choices=SYSTEMS, default=list(SYSTEMS))
    parser.add_argument("--image", nargs="+", choices=IMAGES, default=list(IMAGES))
    parser.add_argument("--language", nargs="+", choices=LANGUAGE_MODELS)
    parser.add_argument("--dtype", choices=("float32", "bfloat16"), default="float32")
    parser.add_argument("--packed", action="store_true", help="prefill: the language model as commands load it")
    parser.add_argument("--layers", type=int, help="of the language model, scaled to all; default: all")
    parser.add_argument("--prompts", type=int, nargs="+", default=PROMPTS, help="lengths in tokens")
    parser.add_argument("--repetitions", type=int, default=1)
    parser.add_argument("--clock", choices=CLOCKS, default="wall", help="cpu: processor seconds, of one thread")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--keep", type=Path, default=KEPT, help="the file of figures")
    args = parser.parse_args()
    args.language = args.language or (list(LANGUAGE_MODELS) if args.action in ("count", "report") else ["135M"])
    torch.set_num_threads(1 if args.clock == "cpu" else args.threads)
    with torch.inference_mode():
        actions[args.action](Kept(args.keep), args)


if __name__ == "__main__":
    main()

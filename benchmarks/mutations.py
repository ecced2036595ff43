"""Damaged and hostile checkpoints through the command line: each must be a one-line error, or give an answer.

    python benchmarks/mutations.py --count 1500 --json mutations.json

One process loads one after the other; another watches its time and memory, and starts a new one where it has to end it.
`hashed` folders have their SHA256SUMS beside them, as all that this package writes; the others have none, so that all
other checks are on their own. A changed answer of a hashed folder counts as a failure.
"""

import argparse
import json
import multiprocessing
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import cycle
from multiprocessing.connection import Connection
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))
sys.path.insert(0, str(ROOT / "tests"))

from mutants import Mutant, mutants  # noqa: E402 (its folder is on the path from here on)

IMAGE = ROOT / "examples" / "sign.png"
MOST_SECONDS = 30.0
"""Of the process's CPU time; what takes longer hangs."""
MOST_BYTES = 1.5e9
"""Above what the process held before."""


@dataclass(frozen=True)
class Way:
    """A folder to change, and the command that is given it as `{}`."""

    name: str
    folder: Path
    command: tuple[str, ...]
    hashed: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of one mutant: `refused`, `same`, `other`, `traceback`, `hang` or `memory`."""

    kind: str
    said: str
    cpu_seconds: float
    more_bytes: float


def make_ways(home: Path) -> list[Way]:
    """Write whole folders: a tiny model, a LoRA adapter over it, small parts, and a tiny published checkpoint."""
    import tiny_published
    import torch
    from safetensors.torch import save_file

    from minigemini import MiniGeminiConfig, MiniGeminiForConditionalGeneration, MiniGeminiProcessor
    from minigemini.io.connector import save_connector
    from minigemini.io.hashes import write_sums
    from minigemini.modeling.chat_templates import CHAT_TEMPLATES
    from minigemini_models.nano import NANO_DIR

    own = MiniGeminiConfig.from_pretrained(NANO_DIR).to_dict()
    own["vision_config"] |= {
        "hidden_size": 32,
        "intermediate_size": 64,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
    }
    own["high_res_vision_config"] |= {"hidden_sizes": [8, 8, 16, 16], "depths": [1, 1, 1, 1]}
    own["text_config"] |= {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "head_dim": 16}
    own["text_config"] |= {"num_attention_heads": 2, "num_key_value_heads": 2}
    torch.manual_seed(0)
    config = MiniGeminiConfig(**own)
    model = MiniGeminiForConditionalGeneration(config)
    model.generation_config.eos_token_id = 2
    tokenizer = MiniGeminiProcessor.from_pretrained(NANO_DIR).tokenizer
    processor = MiniGeminiProcessor.from_config(config, tokenizer, chat_template=CHAT_TEMPLATES["nano"])
    for name in ("model", "hashed"):
        model.save_pretrained(home / name)
        processor.save_pretrained(home / name)
    write_sums(home / "hashed")
    (home / "parts").mkdir()
    save_connector(model, home / "parts" / "parts.safetensors", base=str(home / "model"))
    adapter = home / "adapter"
    adapter.mkdir()
    stem = "base_model.model.model.language_model.layers.0.self_attn.q_proj"
    save_file(
        {f"{stem}.lora_A.weight": torch.randn(4, 32), f"{stem}.lora_B.weight": torch.randn(32, 4)},
        adapter / "adapter_model.safetensors",
    )
    settings = {"peft_type": "LORA", "r": 4, "lora_alpha": 8, "target_modules": ".*layers.0.*q_proj", "bias": "none"}
    settings |= {"base_model_name_or_path": str(home / "model"), "modules_to_save": None, "use_rslora": False}
    (adapter / "adapter_config.json").write_text(json.dumps(settings))
    tiny_published.copy_published(home / "published")
    asks = ("ask", str(IMAGE), "What does the sign say?", "--max-new-tokens", "4", "--device", "cpu", "--model")
    encoders = ("--low-res-encoder", str(tiny_published.LOW_RES), "--high-res-encoder", str(tiny_published.HIGH_RES))
    return [
        Way("ask", home / "model", (*asks, "{}")),
        Way("ask, hashed", home / "hashed", (*asks, "{}"), hashed=True),
        Way("adapter", adapter, (*asks, "{}")),
        Way("small parts", home / "parts", (*asks, "{}/parts.safetensors"), hashed=True),
        Way("convert", home / "published", ("convert", "{}", "{}-converted", *encoders)),
        Way("info", home / "model", ("info", "{}")),
        Way("verify", home / "model", ("verify", "{}")),
        Way("merge", adapter, ("merge", "{}", "{}-merged")),
    ]


def work(pipe: Connection) -> None:
    """Run commands as they come, and say how each ended."""
    import torch
    from typer.testing import CliRunner

    from minigemini.cli.app import app

    torch.set_num_threads(1)
    runner = CliRunner()
    pipe.send("ready")
    while (command := pipe.recv()) is not None:
        started = time.process_time()
        ended = runner.invoke(app, command)
        error = ended.exception
        failure = None if error is None or isinstance(error, SystemExit) else f"{type(error).__name__}: {error}"
        if failure:
            frames = []
            trace = error.__traceback__ if error else None
            while trace is not None:
                frames.append(f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}")
                trace = trace.tb_next
            failure += f" at {' > '.join(frames[-4:])}"
        said = ended.stderr.strip().splitlines()
        pipe.send((ended.exit_code, ended.stdout, said, failure, time.process_time() - started))


class Worker:
    """A process that runs commands, replaced where it has to be ended."""

    def __init__(self) -> None:
        self._start()

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(target=work, args=(theirs,), daemon=True)
        self._process.start()
        self._pipe.recv()

    def end(self) -> None:
        """Let the process end by itself."""
        self._pipe.send(None)
        self._process.join()

    def run(self, command: list[str], whole: str | None) -> Outcome:
        """Run one command; `whole` is what it prints for the whole folder."""
        held, peak, began = self._bytes(), 0.0, self._cpu()
        self._pipe.send(command)
        while not self._pipe.poll(0.02):
            peak = max(peak, self._bytes() - held)
            spent = self._cpu() - began
            # A pipe that is waited for costs no time of its own; ten times as long is enough for a busy machine.
            if peak > MOST_BYTES or spent > MOST_SECONDS or self._waits(began):
                self._process.kill()
                self._process.join()
                self._start()
                return Outcome("memory" if peak > MOST_BYTES else "hang", "", spent, peak)
        code, out, said, failure, seconds = self._pipe.recv()
        self._since = None
        if failure:
            return Outcome("traceback", failure, seconds, peak)
        if code == 0:
            return Outcome("same" if whole is None or out == whole else "other", out.strip()[:200], seconds, peak)
        is_line = code == 2 and len(said) == 1 and said[0].startswith("minigemini: ")
        return Outcome("refused" if is_line else "traceback", " | ".join(said)[:300], seconds, peak)

    _since: float | None = None

    def _waits(self, began: float) -> bool:
        self._since = self._since or time.monotonic()
        over = time.monotonic() - self._since > 10 * MOST_SECONDS
        if over:
            self._since = None
        return over

    def _bytes(self) -> float:
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def _cpu(self) -> float:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def run_all(ways: list[Way], home: Path, count: int, seed: int) -> Iterator[tuple[Way, Mutant, Outcome]]:
    """Each mutant with what became of it."""
    worker = Worker()
    whole = {}
    for way in ways:
        shutil.copytree(way.folder, home / "mutant")
        whole[way.name] = worker.run(_command(way, home), None)
        assert whole[way.name].kind == "same", (way.name, whole[way.name])
        _clean(home)
    sources = {way.name: mutants(way.folder, seed + number) for number, way in enumerate(ways)}
    for _, way in zip(range(count), cycle(ways), strict=False):
        mutant = next(sources[way.name])
        shutil.copytree(way.folder, home / "mutant")
        mutant.apply(home / "mutant")
        answers = way.command[0] == "ask"
        outcome = worker.run(_command(way, home), whole[way.name].said + "\n" if answers else None)
        yield way, mutant, outcome
        _clean(home)
    worker.end()


def _command(way: Way, home: Path) -> list[str]:
    return [part.replace("{}", str(home / "mutant")) for part in way.command]


def _clean(home: Path) -> None:
    for folder in home.glob("mutant*"):
        shutil.rmtree(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1500)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="only the ways of this name")
    parser.add_argument("--json", type=Path, help="also write every mutant to this file")
    args = parser.parse_args()
    os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        ways = [way for way in make_ways(home) if args.only in (None, way.name)]
        table: Counter[tuple[str, str]] = Counter()
        records, slowest, largest = [], 0.0, 0.0
        for way, mutant, outcome in run_all(ways, home, args.count, args.seed):
            table[way.name, outcome.kind] += 1
            slowest, largest = max(slowest, outcome.cpu_seconds), max(largest, outcome.more_bytes)
            records.append({"way": way.name, "mutant": mutant.kind, "what": mutant.what, **vars(outcome)})
            failed = outcome.kind in ("traceback", "hang", "memory") or (outcome.kind == "other" and way.hashed)
            if failed:
                print(f"{outcome.kind:<10}{way.name}: {mutant.what}: {outcome.said}", flush=True)
            if args.json and len(records) % 50 == 0:
                args.json.write_text(json.dumps(records, indent=0, default=str) + "\n")
        if args.json:
            args.json.write_text(json.dumps(records, indent=0, default=str) + "\n")
        kinds = ("refused", "same", "other", "traceback", "hang", "memory")
        print(f"{'':<14}" + "".join(f"{kind:>10}" for kind in kinds))
        for way in ways:
            print(f"{way.name:<14}" + "".join(f"{table[way.name, kind]:>10}" for kind in kinds))
        print(f"slowest {slowest:.1f} s of CPU, most memory {largest / 1e6:,.0f} MB")


if __name__ == "__main__":
    main()

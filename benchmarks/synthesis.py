"""A synthesis run of the paper's size against an endpoint that misbehaves, killed at random moments on the way.

    python benchmarks/synthesis.py                   # 8,000 descriptions, 5,000 conversations, 5 kills: minutes
    python benchmarks/synthesis.py --re-caption 400 --in-context 250 --kills 2

Descriptions and conversations are about synthetic scenes. The endpoint is local and builds its reply from the prompt,
as a language model would, but one request in ten fails at first, and one reply in twenty is unusable. Prints the last
run's report and the endpoint's count of requests per prompt.
"""

import argparse
import random
import re
import subprocess
import sys
import tempfile
import time
import zlib
from pathlib import Path

import numpy as np

from minigemini_models.samples.conversations import conversation
from minigemini_models.samples.descriptions import describe
from minigemini_models.scenes.composition import sample_scene

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from misbehaving_endpoint import Behavior, Server, serving
from native_files import published, write_list

FAILURES = ("too many", "down", "half", "half json", "no choices", "no text", "hang", "drip")
UNUSABLE = ("cut", "refuse", ("say", "A picture."), ("say", '"Draw it."\n""'), ("say", '"Draw it."\n"a <h>cat</h>"'))
FAILURE_RATIO, UNUSABLE_RATIO = 0.1, 0.05
TIMEOUT_S, CONCURRENCY = 2, 16


def behave(prompt: str, seen: int) -> Behavior:
    """Choose the behavior by a hash of the prompt: some requests fail once, some replies are never usable."""
    number = zlib.crc32(prompt.encode())
    chance = number % 1000 / 1000
    if chance < FAILURE_RATIO:
        return FAILURES[number % len(FAILURES)] if not seen else ("say", reply(prompt))
    if chance < FAILURE_RATIO + UNUSABLE_RATIO:
        return UNUSABLE[number % len(UNUSABLE)]
    return "say", reply(prompt)


def reply(prompt: str) -> str:
    """Reply in the requested format, from the last description or the length of the conversation."""
    if "The description:" in prompt:
        description = prompt.rpartition("The description:")[2].split()
        return f'1. "Please draw me something with {" ".join(description[:6])}"\n2. "{" ".join(description[:25])}"'
    count = int(re.search(r"answered (\d+) times", prompt)[1])  # type: ignore[index]
    return "\n".join(f'{number}. "a picture book page, number {number}"' for number in range(1, count + 1))


def write_sources(folder: Path, descriptions: int, conversations: int) -> None:
    """Write published records: descriptions of images, and conversations without images."""
    write_list(
        folder / "described.json",
        (published(str(n), f"{n}.png", "What is this?", describe(sample_scene(n))) for n in range(descriptions)),
    )
    talks = []
    for seed in range(descriptions, descriptions + conversations):
        turns = conversation(sample_scene(seed), np.random.default_rng(seed), max_turns=3)
        talks.append(published(str(seed), None, *(said for turn in turns for said in (turn.question, turn.answer))))
    write_list(folder / "talks.json", talks)


def start(folder: Path, server: Server) -> subprocess.Popen[str]:
    """Start the command with a short timeout."""
    words = ["--re-caption", folder / "described.json", "--in-context", folder / "talks.json"]
    words += ["--endpoint", server.url, "--model", "drawn-world", "--timeout", TIMEOUT_S, "--concurrency", CONCURRENCY]
    command = [sys.executable, "-m", "minigemini", "data", "synthesize", folder / "out.json", *words]
    return subprocess.Popen(
        [str(word) for word in command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--re-caption", type=int, default=8000)
    parser.add_argument("--in-context", type=int, default=5000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--seed", type=int, default=0, help="of the moments")
    args = parser.parse_args()
    jobs, chance = args.re_caption + args.in_context, random.Random(args.seed)
    moments = sorted(chance.sample(range(jobs // 20, jobs), args.kills))
    with tempfile.TemporaryDirectory() as temporary, serving(behave) as server:
        folder, begun = Path(temporary), time.monotonic()
        write_sources(folder, args.re_caption, args.in_context)
        for moment in moments:
            process = start(folder, server)
            while len(server.asked) < moment and process.poll() is None:
                time.sleep(0.01)
            if process.poll() is not None:
                raise SystemExit(f"a run ended with {process.returncode} before it was killed")
            process.kill()
            process.communicate()
            print(f"killed (SIGKILL) when {len(server.asked):,} of {jobs:,} had been asked about", flush=True)
        process = start(folder, server)
        report = process.communicate()[0]
        if process.returncode:
            raise SystemExit(f"the last run ended with {process.returncode}")
        print(f"\n{report}\n{time.monotonic() - begun:.0f} s in all")
        again = sum(count - 1 - (behave(prompt, 0) in FAILURES) for prompt, count in server.asked.items())
        print(f"asked again though answered before: {again}, of at most {CONCURRENCY * args.kills} under way at a kill")


if __name__ == "__main__":
    main()

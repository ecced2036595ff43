"""Damaged and hostile videos, and the cost of a 64-frame clip.

    python benchmarks/video.py                        # all of it, some minutes; writes benchmarks/results/video.md
    python benchmarks/video.py --count 200 --output /tmp/video.md

Valid clips (MP4, WEBM, MKV; H.264, MPEG-4, VP8, VP9) are damaged by seed (bytes, cuts, splices, repeats and size
fields) and decoded as `ask`, the server and training do. A result is right if frames come back, or one line that says
why not.
"""

import argparse
import platform
import random
import resource
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parent.parent
sys.path[:0] = [str(ROOT / "tests"), str(ROOT / "benchmarks")]
from video_clips import clip, pictures  # noqa: E402

from minigemini.images import decoders  # noqa: E402
from minigemini.images.decoders import open_video  # noqa: E402
from minigemini.images.safe_images import ImageError  # noqa: E402
from minigemini.images.video import VideoLimits, VideoSampling  # noqa: E402

CONTAINERS = (
    ("MP4, H.264", "mp4", "libx264"),
    ("MP4, MPEG-4", "mp4", "mpeg4"),
    ("MKV, H.264", "matroska", "libx264"),
    ("WEBM, VP9", "webm", "libvpx-vp9"),
    ("WEBM, VP8", "webm", "libvpx"),
)
SERVER_LIMITS = VideoLimits(max_bytes=20 * 2**20, max_seconds=600, decode_seconds=10)
EXTREMES = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\1", b"\x80\0\0\0")


def damaged(data: bytes, draw: random.Random) -> bytes:
    """Change a file in one of five ways."""
    changed = bytearray(data)
    place = draw.randrange(len(data))
    match draw.randrange(5):
        case 0:
            for _ in range(draw.choice((1, 2, 8, 64))):
                changed[draw.randrange(len(data))] ^= 1 << draw.randrange(8)
        case 1:
            del changed[place:]
        case 2:
            end = min(len(data), place + draw.randrange(1, 200))
            changed[place:end] = draw.randbytes(draw.randrange(200))
        case 3:
            end = min(len(data), place + draw.randrange(1, 200))
            changed[place:place] = data[place:end] * draw.choice((1, 3, 100))
        case _:
            head = draw.randrange(min(len(data), 1500))
            changed[head : head + 4] = draw.choice(EXTREMES)
    return bytes(changed)


def peak_mb(pid: int | str = "self") -> float:
    """The most memory that a process has had resident, MB."""
    return int(Path(f"/proc/{pid}/status").read_text().split("VmHWM:")[1].split()[0]) / 1024


def mutations(count: int, seed: int) -> list[str]:
    """Decode damaged files; one row of the table per container."""
    rows, draw = [], random.Random(seed)
    for name, container, codec in CONTAINERS:
        original = clip(pictures(24, (128, 96)), container, codec, rate=4, g="8")
        outcomes: Counter[str] = Counter()
        slowest = memory = 0.0
        for _ in range(count // len(CONTAINERS)):
            data, started = damaged(original, draw), time.perf_counter()
            try:
                open_video(data or b"\0", VideoSampling(4, 24), SERVER_LIMITS)
                outcome = "read"
            except ImageError as error:
                outcome = "crashed" if "crashed" in str(error) else "too slow" if " takes " in str(error) else "refused"
                if "\n" in str(error):
                    raise RuntimeError(f"a message of several lines: {error!r}") from error
            outcomes[outcome] += 1
            slowest = max(slowest, time.perf_counter() - started)
            memory = max([memory, *(peak_mb(one.process.pid) for one in decoders._POOL._all)])
        counts = " | ".join(f"{outcomes[what]:,}" for what in ("read", "refused", "too slow", "crashed"))
        rows.append(f"| {name} | {sum(outcomes.values()):,} | {counts} | {slowest:.2f} | {memory:.0f} |")
        print(rows[-1], flush=True)
    return rows


def answer_clip(frames: int) -> list[str]:
    """Ask nano about a clip of as many seconds as frames: time and memory of each step."""
    import torch

    from minigemini.inference import Conversation, Engine, Sampling

    torch.set_num_threads(1)
    with tempfile.NamedTemporaryFile(suffix=".mp4") as file:
        file.write(clip([image for image in pictures(frames, (1280, 720)) for _ in range(8)], rate=8))
        file.flush()
        engine = Engine.load("nano", device="cpu")
        engine.ask(pictures(1)[0], "What is this?", Sampling(max_new_tokens=1))
        engine.processor.video_sampling = VideoSampling(1, frames, 4)
        before, started = peak_mb(), time.perf_counter()
        conversation = Conversation(engine)
        conversation.add_video(file.name)
        decoded = time.perf_counter()
        answer = conversation.ask("What is this?", Sampling(max_new_tokens=16))
        answered = time.perf_counter()
    decoder = max(peak_mb(one.process.pid) for one in decoders._POOL._all)
    return [
        f"| decoding, s | {decoded - started:.2f} |",
        f"| preprocessing, encoding and {answer.new_tokens} tokens of answer, s | {answered - decoded:.2f} |",
        f"| prompt, tokens | {answer.prompt_tokens} |",
        f"| memory of the decoder at most, MB | {decoder:.0f} |",
        f"| memory of this process before, at most, MB | {before:.0f} |",
        f"| memory of this process with the clip, at most, MB | {peak_mb():.0f} |",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--frames", type=int, default=64)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks" / "results" / "video.md")
    args = parser.parse_args()
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    import av

    table = mutations(args.count, args.seed)
    cost = answer_clip(args.frames)
    text = f"""# Video

`python benchmarks/video.py --count {args.count} --frames {args.frames} --seed {args.seed}` on {platform.machine()},
PyAV {av.__version__}, one thread; other programs ran beside it, so times are upper bounds.

## Damaged files

24 frames of 128 x 96 pixels each, all taken, decoded with the server's limits. The last two columns are the
longest time of one file and the most memory of a decoder process.

| container | files | read | refused | too slow | crashed | slowest, s | memory, MB |
|---|---|---|---|---|---|---|---|
{chr(10).join(table)}

## A clip of {args.frames} frames

{args.frames} s of 1280 x 720 pixels, 8 frames per second, one taken per second, asked of nano on a CPU with 4 x 4
pooled tokens.

| measure | value |
|---|---|
{chr(10).join(cost)}
"""
    args.output.write_text(text)
    print(text)


if __name__ == "__main__":
    main()

"""Run every GPU script and write what they found: `make test-gpu`.

    python benchmarks/gpu/run_all.py                       # ten minutes; writes benchmarks/results/gpu.md
    python benchmarks/gpu/run_all.py --device cpu --tiny --output dry.md    # a dry run

Exit codes: 0, everything ran or was skipped for a reason that is printed; 1, a script failed; 2, there is no GPU.
"""

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import torch

FOLDER = Path(__file__).parent
RESULTS = FOLDER.parent / "results" / "gpu.md"
SECONDS = {
    "bf16": 60,
    "attention": 90,
    "cuda_graphs": 120,
    "head_loss": 40,
    "mining": 40,
    "quantization": 90,
    "fsdp2": 80,
    "vllm_offline": 180,
}
"""The scripts in order, and the time after which each is ended."""
NO_GPU = 2


def run_script(name: str, words: list[str], limit_s: float) -> dict[str, Any]:
    """The figures of a script, `skipped` with the reason, or `failed` with the end of its output."""
    try:
        command = [sys.executable, "-W", "ignore", str(FOLDER / f"{name}.py"), *words]
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s)
    except subprocess.TimeoutExpired:
        return {"failed": f"took more than {limit_s:.0f} s"}
    if done.returncode:
        return {"failed": done.stderr[-2000:] or f"ended with {done.returncode}"}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def page(device: str, found: dict[str, dict[str, Any]], command: str) -> str:
    """All figures as Markdown."""
    lines = ["# GPU code paths", "", f"    {command}", "", f"{device}, torch {torch.__version__}"]
    for name, figures in found.items():
        lines += ["", f"## {name}", ""]
        for status in ("skipped", "failed"):
            if status in figures:
                lines += [f"{status}: {figures[status]}"]
        measured = {key: value for key, value in figures.items() if key not in ("skipped", "failed")}
        if measured:
            lines += ["| figure | value |", "|---|---|"]
            lines += [f"| {key} | {text(value)} |" for key, value in measured.items()]
    return "\n".join(lines) + "\n"


def text(value: Any) -> str:
    if value is None:
        return "not measured on a CPU"
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", help="default: cuda")
    parser.add_argument("--tiny", action="store_true")
    parser.add_argument("--only", nargs="+", choices=SECONDS, default=list(SECONDS))
    parser.add_argument("--output", type=Path, default=RESULTS, help="the page; figures as JSON are written beside it")
    args = parser.parse_args()
    if args.device is None and not torch.cuda.is_available():
        print("test-gpu: no CUDA GPU here, nothing was measured. A dry run: --device cpu --tiny --output dry.md")
        return NO_GPU
    words = [
        *(["--device", args.device] if args.device else []),
        *(["--tiny", "--repetitions", "1"] if args.tiny else []),
    ]
    found = {}
    for name in args.only:
        began = time.monotonic()
        found[name] = run_script(name, words, SECONDS[name] * (5 if args.tiny else 1))
        status = next((f"{key}: {found[name][key]}" for key in ("failed", "skipped") if key in found[name]), "measured")
        print(f"test-gpu: {name}, {time.monotonic() - began:.0f} s, {status}", flush=True)
    device = args.device or f"{torch.cuda.device_count()} x {torch.cuda.get_device_name()}"
    args.output.write_text(page(device, found, "python benchmarks/gpu/run_all.py " + " ".join(sys.argv[1:])))
    args.output.with_suffix(".json").write_text(json.dumps({"device": device, "figures": found}, indent=1) + "\n")
    failed = [name for name, figures in found.items() if "failed" in figures]
    print(f"test-gpu: {len(found) - len(failed)} of {len(found)} ran or were skipped; figures are in {args.output}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())

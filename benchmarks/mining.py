"""Patch info mining compared with its formula: operations, time, memory and errors at the published sizes.

    python benchmarks/mining.py                      # normal and HD, float32 and bfloat16: minutes, up to 10 GB
    python benchmarks/mining.py --size normal --dtype float32 --json mining.json

Both forms run in this process, in turns, on the same random weights, features and maps; the ratio of times is the
median over the turns. "Temporaries" is the highest sum of live tensor memory that a call allocates, its result
included, read from the profiler's allocation events; scratch inside the matrix library is not seen. Errors are against
mining in float64, which `tests/test_patch_info_mining.py` holds to the formula within 1e-14. The formula upsamples maps
once for the tiles and once for the global tile of an HD image, which optimized code would do once: under 1 % of
it.
"""

import os
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # the profiler's own messages; read when torch is imported

import torch
from harness import run, seconds
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.profiler import ProfilerActivity, profile
from torch.utils.flop_counter import FlopCounterMode

from minigemini.modeling.patch_info_mining import PatchInfoMining

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from reference_mining import mine_by_formula

QUERY_DIM, STAGE_DIMS = 1024, (192, 384, 768, 1536)  # CLIP ViT-L, ConvNeXt-L
# name: side of the finest map, then (queries per side, downsample) of each call of mining
SIZES = {"normal": (192, [(24, 1)]), "hd": (384, [(48, 1), (24, 2)])}


@dataclass
class Result:
    size: str
    dtype: str
    formula_gflop: float
    mining_gflop: float
    formula_seconds: float
    mining_seconds: float
    times_faster: float
    formula_temporaries_mib: float
    mining_temporaries_mib: float
    temporaries_share: float
    formula_max_error: float
    mining_max_error: float
    formula_rms_error: float
    mining_rms_error: float


class Case:
    """One image size: `mine` and `formula` return the mined features of all its tiles, one tensor per call."""

    def __init__(self, size: str, dtype: torch.dtype) -> None:
        side, self.calls = SIZES[size]
        torch.manual_seed(0)
        self.mining = PatchInfoMining(QUERY_DIM, STAGE_DIMS)
        if dtype != torch.float32:  # tensors without data refuse even the conversion that changes nothing
            self.mining.to(dtype)
        self.maps = [torch.randn(1, dim, side >> s, side >> s).to(dtype) for s, dim in enumerate(STAGE_DIMS)]
        self.queries = [torch.randn(1, n * n, QUERY_DIM).to(dtype) for n, _ in self.calls]

    def mine(self) -> list[Tensor]:
        return [self.mining(query, self.maps, g) for query, (_, g) in zip(self.queries, self.calls, strict=True)]

    def formula(self) -> list[Tensor]:
        calls = zip(self.queries, self.calls, strict=True)
        return [mine_by_formula(self.mining, query, self.maps, g)[0] for query, (_, g) in calls]

    def exact(self) -> list[Tensor]:
        """In float64, from the same (rounded) weights and maps."""
        dtype, maps = self.maps[0].dtype, [x.double() for x in self.maps]
        self.mining.double()
        calls = zip(self.queries, self.calls, strict=True)
        exact = [self.mining(query.double(), maps, g) for query, (_, g) in calls]
        self.mining.to(dtype)
        return exact


def gflop(size: str, form: str) -> float:
    """Operations of the matrix products of a form, counted on meta tensors."""
    with FakeTensorMode(), FlopCounterMode(display=False) as counter:
        getattr(Case(size, torch.float32), form)()
    return counter.get_total_flops() / 1e9


def peak_temporaries_mib(call: Callable[[], list[Tensor]]) -> float:
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        call()
    events = [event for event in profiler.profiler.kineto_results.events() if event.name() == "[memory]"]
    live = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)
    return peak / 2**20


def errors(found: list[Tensor], exact: list[Tensor]) -> tuple[float, float]:
    """Largest and root mean square."""
    difference = torch.cat([(x.double() - y).flatten() for x, y in zip(found, exact, strict=True)])
    return difference.abs().max().item(), difference.square().mean().sqrt().item()


def measure(size: str, dtype: torch.dtype, repetitions: int) -> Result:
    case = Case(size, dtype)
    exact = case.exact()
    formula_errors, mining_errors = errors(case.formula(), exact), errors(case.mine(), exact)  # warms up, too
    formula_mib, mining_mib = peak_temporaries_mib(case.formula), peak_temporaries_mib(case.mine)

    times: dict[str, list[float]] = {"formula": [], "mine": []}
    for _ in range(repetitions):
        for form in times:
            times[form].append(seconds(getattr(case, form)))
    ratios = [slow / fast for slow, fast in zip(times["formula"], times["mine"], strict=True)]

    return Result(
        size=size,
        dtype=str(dtype).removeprefix("torch."),
        formula_gflop=gflop(size, "formula"),
        mining_gflop=gflop(size, "mine"),
        formula_seconds=statistics.median(times["formula"]),
        mining_seconds=statistics.median(times["mine"]),
        times_faster=statistics.median(ratios),
        formula_temporaries_mib=formula_mib,
        mining_temporaries_mib=mining_mib,
        temporaries_share=mining_mib / formula_mib,
        formula_max_error=formula_errors[0],
        mining_max_error=mining_errors[0],
        formula_rms_error=formula_errors[1],
        mining_rms_error=mining_errors[1],
    )


def report(result: Result) -> None:
    r = result
    print(f"{r.size}, {r.dtype}: {r.times_faster:.1f} times faster, {r.temporaries_share:.3f} of the temporaries")
    print(f"  {'':14}{'GFLOP':>9}{'seconds':>9}{'MiB':>9}{'max error':>12}{'rms error':>12}")
    for form in ("formula", "mining"):
        gflop, seconds, mib, largest, rms = (
            getattr(r, f"{form}_{what}") for what in ("gflop", "seconds", "temporaries_mib", "max_error", "rms_error")
        )
        print(f"  {form:14}{gflop:9.1f}{seconds:9.3f}{mib:9.1f}{largest:12.1e}{rms:12.1e}")


if __name__ == "__main__":
    run(__doc__, measure, report)

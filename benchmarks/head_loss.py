"""Memory of the head's loss and its gradients, by labeled tokens and vocabulary: all logits at once beside chunks.

    python benchmarks/head_loss.py                   # seconds, 1 GB

Memory is the highest sum of live tensors that forward and backward allocate, the gradients of head and hidden states
included, read from the profiler's allocation events. The width hardly matters to it, so it is small here. Time is that
of the processor, at the width of SmolLM2-135M (`--width`).
"""

import argparse
import time
from functools import partial
from typing import Any

import torch
from mining import peak_temporaries_mib
from torch import Tensor, nn

from minigemini.modeling.head_loss import head_loss
from minigemini.modeling.losses import mean_loss

SHAPES = ((128, 49152), (512, 49152), (1024, 49152), (128, 152064), (512, 152064))


def of_all_logits(hidden: Tensor, head: nn.Module, targets: Tensor) -> Tensor:
    return mean_loss(head(hidden), targets)


def step(loss_of: Any, hidden: Tensor, head: nn.Module, targets: Tensor) -> list[Tensor]:
    loss: Tensor = loss_of(hidden, head, targets)
    return list(torch.autograd.grad(loss, (hidden, head.weight)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--width", type=int, default=64)
    args = parser.parse_args()
    torch.set_num_threads(1)
    print("| labeled tokens | vocabulary | all logits, MiB | chunks, MiB | share | processor s | chunks | error |")
    print("|---|---|---|---|---|---|---|---|")
    for rows, vocabulary in SHAPES:
        torch.manual_seed(0)
        head = nn.Linear(args.width, vocabulary, bias=False)
        hidden, targets = torch.randn(rows, args.width, requires_grad=True), torch.randint(vocabulary, (rows,))
        calls = [partial(step, loss_of, hidden, head, targets) for loss_of in (of_all_logits, head_loss)]
        seconds, gradients = [], []
        for call in calls:
            began = time.process_time()
            gradients.append(call()[1])
            seconds.append(time.process_time() - began)
        error = float((gradients[1] - gradients[0]).abs().max() / gradients[0].abs().max())
        gradients.clear()
        whole, chunks = (peak_temporaries_mib(call) for call in calls)
        cells = (
            f"{whole:,.0f} | {chunks:,.0f} | {chunks / whole:.2f} | {seconds[0]:.2f} | {seconds[1]:.2f} | {error:.0e}"
        )
        print(f"| {rows} | {vocabulary:,} | {cells} |", flush=True)


if __name__ == "__main__":
    main()

"""Lets PyPI's torchvision be imported beside a CPU build of torch: `pytest -p torchvision_on_cpu`.

The wheel is built for CUDA, so its operators do not load, and its import refuses to describe those that are not
declared. Transforms, which is all that image processors use, need none.
"""

from importlib.util import find_spec

import torch

if find_spec("torchvision") and not torch.backends.cuda.is_built():
    LIBRARY = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        LIBRARY.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")

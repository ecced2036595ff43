"""Trains a tiny model under FSDP2 over gloo, which Accelerate by default does on accelerators only."""

import json
import os
import sys
from pathlib import Path

import torch
from accelerate import state
from accelerate.utils import DistributedType

SETTINGS = {
    "ACCELERATE_USE_FSDP": "true",
    "FSDP_VERSION": "2",
    "FSDP_AUTO_WRAP_POLICY": "TRANSFORMER_BASED_WRAP",
    "FSDP_TRANSFORMER_CLS_TO_WRAP": "LlamaDecoderLayer",
    "FSDP_STATE_DICT_TYPE": "SHARDED_STATE_DICT",
    "FSDP_RESHARD_AFTER_FORWARD": "true",
}
"""The environment that `accelerate launch` sets for examples/accelerate/fsdp2.yaml."""

original_init = state.AcceleratorState.__init__


def init_sharded(self, *args, fsdp_plugin=None, **kwargs):
    original_init(self, *args, fsdp_plugin=fsdp_plugin, **kwargs)
    if fsdp_plugin is not None:
        self.distributed_type, self.fsdp_plugin = DistributedType.FSDP, fsdp_plugin


if __name__ == "__main__":
    from tiny_training import tiny_recipe

    from minigemini.training.run import train

    os.environ.update(SETTINGS)
    state.AcceleratorState.__init__ = init_sharded
    torch.set_num_threads(1)
    base, data, folder, changes = sys.argv[1:]
    try:
        train(tiny_recipe(Path(base), Path(data), **json.loads(changes)), Path(folder))
    except KeyboardInterrupt:
        sys.exit(130)

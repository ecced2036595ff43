"""Reading and writing: checkpoints, adapters, the hub, atomic files."""

"""Checkpoints for the hub that carry their own code: `minigemini package`."""

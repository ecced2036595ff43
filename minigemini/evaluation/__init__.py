"""How good is a checkpoint: measured skills."""

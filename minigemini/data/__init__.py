"""From files of samples to batches for training."""

"""Training data: from files of samples to batches."""

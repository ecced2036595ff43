"""From files of samples to batches for training; and the drawn world: a picture from a seed, and what is said of it."""

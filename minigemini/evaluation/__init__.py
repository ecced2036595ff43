"""Evaluation of checkpoints on benchmarks and synthetic tasks."""

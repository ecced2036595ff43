"""Reads and writes checkpoints, adapters and files, and accesses the Hugging Face Hub."""

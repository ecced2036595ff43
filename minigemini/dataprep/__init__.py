"""Preparation of training data: declared sources, download, validation, export to shards, preview and synthesis."""

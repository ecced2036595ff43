"""Assembling training data: declared sources, fetching, examining, building and showing."""

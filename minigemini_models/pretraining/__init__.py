"""Pretraining from random weights, before stages 1 and 2: encoders, language model, alignment and image generator.

Each is a `PretrainingTask`: a module whose forward returns the loss, its trainable parts, its samples and its output.
"""

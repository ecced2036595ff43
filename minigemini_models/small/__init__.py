"""The model `small`: pretrained encoders and language model, joined by a visual vocabulary."""

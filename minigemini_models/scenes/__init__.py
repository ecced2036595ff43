"""Synthetic scenes: from a seed to an image with dense labels.

A reading order:

1. Assets: `concepts` (object names), `shapes` and `icons` (how objects look), `colors`, `lexicon` (text), `fonts`.
   `splits` says which of them training uses and which are held out for evaluation.
2. Scenes: `scene` holds and renders one; `composition` samples scenes of 256 pixels and `documents` those of 512, with
   `layouts` and `lettering`.
3. Pretraining: `dense_labels` and `labeled_scenes`; `text_images` are full of text, with the same labels.

Conversations about scenes are in `minigemini_models.samples`.
"""

"""Image generation: captions taken out of answers, diffusers pipelines, and the images they draw."""

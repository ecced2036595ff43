"""Export: a checkpoint as graphs for onnxruntime or OpenVINO, which `Engine.load` runs without the model's own code."""

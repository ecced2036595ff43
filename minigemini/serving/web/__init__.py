"""A Gradio chat page over any backend."""

"""A page to chat on, in Gradio, over any backend."""

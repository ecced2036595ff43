"""OpenAI-compatible HTTP API over a local engine or remote vLLM servers, and a web chat page."""

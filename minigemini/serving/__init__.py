"""Answers over HTTP: OpenAI's API over an engine in this process or over vLLM servers, and a page to chat on."""

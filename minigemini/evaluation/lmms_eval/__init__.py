"""Integration with lmms-eval: our models for its tasks, our tasks for its models. Only lmms-eval imports it."""

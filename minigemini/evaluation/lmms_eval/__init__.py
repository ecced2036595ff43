"""lmms-eval's side: our models for its tasks, our tasks for its models. Only what it loads imports it."""

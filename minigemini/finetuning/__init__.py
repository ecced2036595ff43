"""Fine-tuning on a user's own data in one command: look at it, propose a recipe, train, score before and after."""

"""The drawn world: from a seed to a picture, its dense labels and a conversation about it."""

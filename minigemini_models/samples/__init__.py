"""Conversations about synthetic scenes, one file per skill."""

"""Evaluation tasks on synthetic scenes."""

"""Models that this project trains itself, with their synthetic data, recipes and evaluation tasks."""

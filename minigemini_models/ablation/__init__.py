"""Small twins of the paper's ablation, trained and measured by one command."""

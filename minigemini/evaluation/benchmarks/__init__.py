"""The paper's benchmarks, read from their official files and scored by their official rules."""

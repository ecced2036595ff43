"""The paper's benchmarks, read from official files and scored by official rules."""

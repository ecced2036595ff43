"""Official rules for parsing and scoring answers, independent of files and models."""

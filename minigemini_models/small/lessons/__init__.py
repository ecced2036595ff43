"""What `small` learns, one module per skill. Each samples a `Lesson` from a number."""

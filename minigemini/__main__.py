"""`python -m minigemini` is `minigemini`."""

from .cli import main

main()

"""`python -m minigemini` is `minigemini`."""

from minigemini_cli import main

main()

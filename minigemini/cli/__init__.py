"""The command line. Importing it imports nothing heavy: every verb does so itself, once it runs."""


def main() -> None:
    """Run `minigemini` with the arguments of this process."""
    from .streams import prepare_streams

    prepare_streams()
    from .app import app

    app()

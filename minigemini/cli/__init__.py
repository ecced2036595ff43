"""The command line. Importing this package is cheap: each verb imports what it needs when it runs."""


def main() -> None:
    """Run `minigemini` with this process's arguments."""
    from .streams import prepare_streams

    prepare_streams()
    from .app import app

    app()

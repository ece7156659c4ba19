"""The command line: `hotswap-stream`. What a command needs is imported when it runs, so that `--help` is quick."""


def main() -> None:
    """Entry point of the `hotswap-stream` script."""
    from hotswap_stream.cli.app import build_app

    build_app()()

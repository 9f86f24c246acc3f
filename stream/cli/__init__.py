"""The command `cytostream`. Workers import this with the script that started them, so that it loads
nothing before it is run.
"""


def main() -> None:
    """Run the command that the command line names."""
    from .app import run_command

    run_command()


__all__ = ["main"]

"""The command `cytostream`. Workers import this with the script that started them, so that it loads
nothing before it is run.
"""

import sys

_INTERRUPTED = 130


def main() -> None:
    """Run the command that the command line names; Ctrl-C while it is loaded is one line, too."""
    try:
        from .app import run_command

        run_command()
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        sys.exit(_INTERRUPTED)


__all__ = ["main"]

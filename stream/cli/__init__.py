"""The command `cytostream`. Workers import this with the script that started them, so that it loads
nothing before it is run.
"""

import sys

_INTERRUPTED = 130
_ELSEWHERE = 1


def main() -> None:
    """Run the command that the command line names; Ctrl-C while it is loaded is one line, too."""
    check_system(sys.platform)
    try:
        from .app import run_command

        run_command()
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        sys.exit(_INTERRUPTED)


def check_system(name: str) -> None:
    """Ends where the system is not Linux, before anything is loaded that such a system lacks."""
    if name != "linux":
        sys.stderr.write(
            f"error: cytostream runs on Linux alone, and this is {name} (run it on a Linux "
            "machine or container, and mount the scanner's share there)\n"
        )
        sys.exit(_ELSEWHERE)


__all__ = ["main"]

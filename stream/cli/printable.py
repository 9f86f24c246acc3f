"""Texts from outside (file names, comments, messages of other programs) for a terminal."""


def printable(text: str) -> str:
    """Control characters, and bytes of a name that are no letters, as escapes: none of it is an
    order to the terminal.
    """
    return "".join(
        c if c.isprintable() or c == "\n" else c.encode("unicode_escape").decode() for c in text
    )

"""A Unix socket to listen on: who may connect is a matter of the permissions of a file."""

import contextlib
import grp
import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

from ingest import CytostreamError

OWNER_AND_GROUP = 0o660


@contextlib.contextmanager
def open_socket(path: Path) -> Iterator[socket.socket]:
    """A socket at a path that its owner and its group may use (the folder's group where it has the
    set-group-ID bit); removed at the end. One that a process has left there is replaced.

    Raises:
        CytostreamError: the folder is absent or others may write to it, something else lies at the
        path, or a process listens there.
    """
    check_place(path)
    with contextlib.ExitStack() as stack:
        listening = stack.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        mask = os.umask(0o777 & ~OWNER_AND_GROUP)
        try:
            listening.bind(str(path))
        except OSError as error:
            raise CytostreamError(
                f"{path}: cannot be listened on: {error.strerror or error}",
                "choose another review.proxy_socket",
            ) from error
        finally:
            os.umask(mask)
        stack.callback(path.unlink, missing_ok=True)
        yield listening


def group_of(path: Path) -> str:
    """The name of the group of a file, or its number."""
    group = path.stat().st_gid
    try:
        return grp.getgrgid(group).gr_name
    except KeyError:
        return str(group)


def check_place(path: Path) -> None:
    """Leaves the path free.

    Raises:
        CytostreamError: as of `open_socket`.
    """
    hint = "give a path in a folder that only this account and the proxy can reach"
    try:
        folder = path.parent.stat()
    except OSError as error:
        raise CytostreamError(f"{path.parent}: {error.strerror}", hint) from error
    if folder.st_mode & stat.S_IWOTH:
        raise CytostreamError(f"{path.parent}: everybody may write there", hint)
    if not os.path.lexists(path):
        return
    if not stat.S_ISSOCK(path.lstat().st_mode):
        raise CytostreamError(f"{path}: something else is there", hint)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as other:
        if other.connect_ex(str(path)) == 0:
            raise CytostreamError(
                f"{path}: a process listens there", "end it, or choose another review.proxy_socket"
            )
    path.unlink()

"""A Unix socket for the proxy: who may reach it, and what it replaces."""

import os
import socket
import stat

import pytest

from ingest import CytostreamError
from stream.http import group_of, open_socket


def test_owner_and_group_may_connect_and_it_goes_with_the_server(tmp_path):
    path = tmp_path / "review.sock"
    with open_socket(path) as listening:
        listening.listen()
        assert stat.S_IMODE(path.stat().st_mode) == 0o660
        with socket.socket(socket.AF_UNIX) as proxy:
            proxy.connect(str(path))
            with pytest.raises(CytostreamError, match="a process listens there"), open_socket(path):
                pass
    assert not path.exists()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a folder to another group")
def test_it_is_for_the_group_of_a_folder_that_says_so(tmp_path):
    group = 65534
    os.chown(tmp_path, -1, group)
    tmp_path.chmod(0o2750)
    path = tmp_path / "review.sock"
    with open_socket(path):
        assert path.stat().st_gid == group
        assert group_of(path) in ("nogroup", "nobody", str(group))


def test_one_that_a_process_left_is_replaced(tmp_path):
    path = tmp_path / "review.sock"
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(path))
    with open_socket(path) as listening:
        listening.listen()


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
def test_what_is_no_socket_stays(tmp_path, kind):
    path, other = tmp_path / "review.sock", tmp_path / "precious"
    other.write_text("kept")
    {
        "file": lambda: path.write_text("kept"),
        "folder": path.mkdir,
        "link": lambda: path.symlink_to(other),
    }[kind]()
    with pytest.raises(CytostreamError, match="something else"), open_socket(path):
        pass
    assert os.path.lexists(path) and other.read_text() == "kept"


def test_a_folder_where_everybody_writes_or_that_is_absent(tmp_path):
    with pytest.raises(CytostreamError, match="No such"), open_socket(tmp_path / "no" / "a.sock"):
        pass
    tmp_path.chmod(0o777)
    with pytest.raises(CytostreamError, match="everybody"), open_socket(tmp_path / "a.sock"):
        pass

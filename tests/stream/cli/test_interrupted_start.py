"""Ctrl-C while the command is being loaded."""

import sys

import pytest

from stream.cli import app as loaded
from stream.cli import main


def interrupt(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("name", ["run_command", "load_command", "check_there"])
def test_it_is_one_line(monkeypatch, capsys, name):
    monkeypatch.setattr(loaded, name, interrupt)
    monkeypatch.setattr(sys, "argv", ["cytostream", "run", "a.svs"])
    monkeypatch.setattr("os.umask", lambda mask: mask)
    if name == "load_command":
        monkeypatch.setattr(loaded, "check_there", lambda path: None)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130 and capsys.readouterr().err == "stopped\n"


def test_while_the_command_line_is_read(monkeypatch, capsys):
    monkeypatch.setattr(loaded.TyperGroup, "make_context", interrupt)
    monkeypatch.setattr(sys, "argv", ["cytostream", "--version"])
    monkeypatch.setattr("os.umask", lambda mask: mask)
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 130 and capsys.readouterr().err == "stopped\n"

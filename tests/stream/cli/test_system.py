"""On another system than Linux the command says so, before it loads what that system lacks."""

import sys

import pytest

from stream.cli import main


@pytest.mark.parametrize("name", ["win32", "darwin", "cygwin", "freebsd14"])
def test_elsewhere_it_says_that_it_runs_on_linux(monkeypatch, capsys, name):
    monkeypatch.setattr(sys, "platform", name)
    monkeypatch.setitem(sys.modules, "stream.cli.app", None)  # an import of it fails
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr()
    assert ended.value.code == 1 and not said.out
    assert said.err.startswith("error: cytostream runs on Linux alone, and this is ")
    assert name in said.err and said.err.count("\n") == 1

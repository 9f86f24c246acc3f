import pytest
from typer.testing import CliRunner

from stream.cli.app import app
from tests.recorded import Recorded


@pytest.fixture
def recorded(monkeypatch, tmp_path):
    """What the functions below a command are given; commands run in a folder of their own."""
    monkeypatch.setenv("COLUMNS", "160")
    monkeypatch.chdir(tmp_path)
    return Recorded(monkeypatch)


@pytest.fixture
def typed(recorded):
    """Types a command; what it says is written down between the calls that it makes."""

    def typed(*words, code=0, answer=None):
        recorded.lines.append(f"$ cytostream {' '.join(map(str, words))}")
        done = CliRunner().invoke(app, [str(word) for word in words], input=answer)
        if done.exception and not isinstance(done.exception, SystemExit):
            error = done.exception
            if not hasattr(error, "hint"):
                raise error
            recorded.lines.append(f"{type(error).__name__}: {error.what}\n  -> {error.hint}")
        recorded.lines += [line.rstrip() for line in done.output.splitlines()]
        assert done.exit_code == code, done.output
        return done

    return typed

"""A folder of kept objects that cannot be reached says which, and what to do."""

from pathlib import Path

import pytest

from ingest import StoreError
from stream.store import KeptObjects

HINT = "check the folder, and who may write there"


def broken(*_):
    raise OSError(5, "Input/output error")


def test_a_share_that_is_away_is_one_line(tmp_path, monkeypatch):
    kept = KeptObjects(f"{tmp_path}/")
    assert kept.names() == []
    kept.put("heads/1", b"one")
    kept.put("heads/1", b"other")
    assert kept.names() == ["heads/1"] and kept.read("heads/1") == b"one"
    with pytest.raises(StoreError) as gone:
        kept.read("heads/2")
    assert gone.value.what == "heads/2: cannot be read: No such file or directory"
    for name in ("glob", "exists"):
        monkeypatch.setattr(Path, name, broken)
    for do, what in (
        (kept.names, f"{tmp_path}: cannot be read: Input/output error"),
        (
            lambda: kept.put("heads/3", b"x"),
            f"{tmp_path}/heads/3: cannot be written: Input/output error",
        ),
    ):
        with pytest.raises(StoreError) as refused:
            do()
        assert (refused.value.what, refused.value.hint) == (what, HINT)

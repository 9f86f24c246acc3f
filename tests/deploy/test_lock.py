"""The lock file from what pip reports: each package with its digest, and not the project itself."""

import io
import json
import runpy
from pathlib import Path

LOCK = Path(__file__).parent.parent.parent / "deploy" / "lock.py"


def package(name, digest=None):
    archive = {"archive_info": {"hashes": {"sha256": digest}}} if digest else {"dir_info": {}}
    return {"metadata": {"name": name, "version": "1.0"}, "download_info": archive}


def test_every_package_has_its_digest(monkeypatch, capsys):
    report = {"install": [package("zarr", "b" * 64), package("Anndata", "a" * 64), package("own")]}
    monkeypatch.setattr("sys.stdin", io.StringIO(json.dumps(report)))
    runpy.run_path(str(LOCK), run_name="__main__")
    assert capsys.readouterr().out.splitlines() == [
        f"Anndata==1.0 --hash=sha256:{'a' * 64}",
        f"zarr==1.0 --hash=sha256:{'b' * 64}",
    ]

"""Help, the version, a typo and a path that is not there import nothing that reads slides."""

import json
import subprocess
import sys
from importlib import import_module

import pytest

from stream.cli.app import app, load_command
from stream.cli.command_table import COMMANDS

module = import_module("stream.cli.app")  # `stream.cli` may have a name `app` of its own
HEAVY = {
    "anndata",
    "dask",
    "distributed",
    "fastapi",
    "kafka",
    "numpy",
    "openslide",
    "openvino",
    "scipy",
    "skimage",
    "sqlalchemy",
    "tifffile",
    "torch",
    "zarr",
}
ASK = """
import json, sys
from stream.cli import main
sys.argv[1:] = json.loads(sys.argv[1])
try:
    main()
except SystemExit as ended:
    code = ended.code
print(json.dumps([code, sorted({name.partition(".")[0] for name in sys.modules})]))
"""


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (["--help"], 0, "export-results"),
        (["--version"], 0, "cytostream 0."),
        (["rnu", "slide.svs"], 2, "Did you mean 'run'"),
        (["run", "absent.svs"], 1, "absent.svs: no such file"),
        (["classify", "absent"], 1, "absent: no such file"),
    ],
)
def test_nothing_is_imported_that_is_not_used(words, code, told):
    asked = [sys.executable, "-c", ASK, json.dumps(words)]
    ended = subprocess.run(asked, capture_output=True, text=True, check=True)
    found, modules = json.loads(ended.stdout.splitlines()[-1])
    assert found == code and told in ended.stdout + ended.stderr
    assert HEAVY & set(modules) == set()


@pytest.mark.parametrize("name", COMMANDS)
def test_the_summary_is_that_of_the_command(name):
    """Words may be left out at its end, none may differ."""
    command = load_command(name)
    summary = COMMANDS[name].summary.rstrip(".").split(", or ")[0]
    first = " ".join((command.help or "").split("\n\n")[0].split())
    assert command.name == name
    assert first.startswith(summary[:24])


def test_help_lists_every_command_in_its_panel(capsys):
    with pytest.raises(SystemExit):
        app(["--help"])
    lines = capsys.readouterr().out.splitlines()
    panels = {}
    for line in lines:
        if line.startswith("╭─"):
            panel = line.split()[1]
        elif line.startswith("│ ") and not line.startswith("│  "):
            panels.setdefault(panel, []).append(line.split()[1])
    del panels["Options"]
    assert panels == {
        entry.panel: [name for name, other in COMMANDS.items() if other.panel == entry.panel]
        for entry in COMMANDS.values()
    }


def test_an_absent_extra_says_what_to_install(monkeypatch, capsys):
    def absent(name):
        raise ModuleNotFoundError("no", name="torch")

    monkeypatch.setattr(module, "import_module", absent)
    monkeypatch.setattr(module.os, "umask", lambda mask: mask)
    monkeypatch.setattr(sys, "argv", ["cytostream", "train"])
    with pytest.raises(SystemExit) as ended:
        module.run_command()
    assert ended.value.code == 1
    assert "pip install -e '.[train]'" in capsys.readouterr().err


def test_ctrl_c_is_one_line(monkeypatch, capsys):
    def interrupted(name):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "import_module", interrupted)
    with pytest.raises(SystemExit) as ended:
        app(["doctor"])
    assert ended.value.code == 130
    assert capsys.readouterr().err == "stopped\n"


def test_run_serve_audit_and_alerts_import_nothing_that_they_may_not_use():
    slow = {"scipy.stats", "scipy.optimize", "openvino", "fastapi", "kafka", "matplotlib", "pandas"}
    slow |= {"fpdf", "authlib", "s3fs", "hl7apy", "highdicom", "pyarrow", "torch", "onnx"}
    code = f"""if True:
        import sys
        from pathlib import Path
        from stream.cli.commands import alerts, export, run, serve
        try:
            export.audit_store(Path("absent"), export.Config())
        except export.CytostreamError:
            print(sorted({slow | {"cryptography"}} & set(sys.modules)))"""
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"

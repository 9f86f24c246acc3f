"""What the README and the documentation tell people to type, typed."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from stream.cli.app import app, load_command
from stream.cli.command_table import COMMANDS
from stream.config import Config

ROOT = Path(__file__).parent.parent
DOCS = sorted((ROOT / "docs").glob("*.md")) + sorted((ROOT / "docs" / "how-to").glob("*.md"))
TUTORIAL = ROOT / "docs" / "tutorial.md"
README = ROOT / "README.md"
ELSEWHERE = {"serve"}  # runs until Ctrl-C; the browser tests have it


def blocks(path):
    return "\n".join(re.findall(r"^```\n(.*?)^```", path.read_text(), re.MULTILINE | re.DOTALL))


def commands_in(*paths):
    text = "\n".join(map(blocks, paths))
    return re.findall(r"^cytostream [^#\n]+", text, re.MULTILINE)


def command_of(words):
    """The command that the words begin with, and its own words."""
    command, rest = load_command(words[0]), words[1:]
    while below := getattr(command, "commands", None):
        command, rest = below[rest[0]], rest[1:]
    return command, rest


@pytest.mark.parametrize("line", dict.fromkeys(commands_in(README, *DOCS)))
def test_every_command_and_option_that_is_shown_exists(line):
    words = shlex.split(line)[1:]
    if words[0] not in COMMANDS:
        assert CliRunner().invoke(app, words).exit_code == 0
        return
    command, rest = command_of(words)
    known = {opt for param in command.params for opt in (*param.opts, *param.secondary_opts)}
    assert {word for word in rest if word.startswith("--")} <= known
    needed = [param for param in command.params if param.required and param.opts[0][0] != "-"]
    assert len([word for word in rest if not word.startswith("-")]) >= len(needed)


@pytest.mark.parametrize("path", [README, *DOCS], ids=lambda path: path.name)
def test_every_setting_that_is_named_exists(path):
    sections = Config.model_fields
    named = re.findall(r"`([a-z_]+)\.([a-z_]+)(?:`| = )", path.read_text())
    for section, key in named:
        if section in sections:
            assert key in sections[section].annotation.model_fields, f"{section}.{key}"


@pytest.mark.parametrize("target", re.findall(r"^make (\w+)", blocks(README), re.MULTILINE))
def test_every_make_target_of_the_readme_exists(target):
    subprocess.run(["make", "-n", target], cwd=ROOT, check=True, capture_output=True)


def test_the_pictures_of_the_readme_are_small():
    shown = re.findall(r"!\[[^]]+\]\(([^)]+)\)", README.read_text())
    assert len(shown) == 2 and all((ROOT / path).stat().st_size < 150_000 for path in shown)


def test_the_documentation_is_built_without_a_warning(tmp_path):
    """With every link and every page of the reference."""
    pytest.importorskip("sphinx", reason="the docs extra is not installed")
    words = [sys.executable, "-m", "sphinx", "-W", "-q", "-b", "html", "docs", str(tmp_path)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    page = (tmp_path / "reference" / "commands.html").read_text()
    assert all(f"cytostream {name}" in page for name in COMMANDS)


@pytest.fixture(scope="module")
def demo(tmp_path_factory):
    """The folder in which the demo was run, and what it said."""
    folder = tmp_path_factory.mktemp("new-user")
    words = [sys.executable, "-m", "stream.cli", "demo"]
    done = subprocess.run(
        words,
        cwd=folder,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert done.returncode == 0, done.stderr
    return folder, done.stderr


@pytest.mark.broker
@pytest.mark.timeout(400)
def test_the_demo(demo):
    _, said = demo
    events, ids = map(
        int, re.search(r"read back from Kafka: (\d+) events, (\d+) ids", said).groups()
    )
    assert events == ids > 80 and "ALERT" in said and "neutrophil" in said


@pytest.mark.broker
@pytest.mark.timeout(400)
def test_the_tutorial_after_its_demo(demo, monkeypatch):
    folder, _ = demo
    monkeypatch.chdir(folder)
    for line in commands_in(TUTORIAL):
        words = shlex.split(line)[1:]
        if words[0] not in ELSEWHERE:
            done = CliRunner().invoke(app, words)
            assert done.exit_code == 0, f"{line}: {done.output}"
    made = {path.suffix for path in (folder / "demo-out").rglob("*") if path.is_file()}
    assert {".csv", ".pdf", ".json", ".jsonl"} <= made
    lines = (folder / "demo-out" / "events.jsonl").read_text().splitlines()
    assert len(lines) > 80

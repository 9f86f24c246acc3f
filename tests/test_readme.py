"""What the README tells people to type, typed."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from stream.cli.app import app

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
BLOCKS = "\n".join(re.findall(r"^```\n(.*?)^```", README, re.MULTILINE | re.DOTALL))
COMMANDS = re.findall(r"^cytostream [^#\n]+", BLOCKS, re.MULTILINE)


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_and_option_of_the_readme_exists(line):
    name, *words = shlex.split(line)[1:]
    said = CliRunner().invoke(app, [name, "--help"], env={"COLUMNS": "200", "NO_COLOR": "1"})
    assert said.exit_code == 0
    assert not [word for word in words if word.startswith("--") and word not in said.output]


@pytest.mark.parametrize("target", re.findall(r"^make (\w+)", BLOCKS, re.MULTILINE))
def test_every_make_target_of_the_readme_exists(target):
    subprocess.run(["make", "-n", target], cwd=ROOT, check=True, capture_output=True)


@pytest.mark.broker
def test_the_demo(tmp_path):
    words = [sys.executable, "-m", "stream.cli", "demo", "--out", tmp_path]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    events, ids = map(
        int, re.search(r"read back from Kafka: (\d+) events, (\d+) ids", done.stderr).groups()
    )
    assert events == ids > 80 and "ALERT" in done.stderr and "neutrophil" in done.stderr

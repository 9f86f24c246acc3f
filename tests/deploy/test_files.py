"""What a laboratory is given to run: units that systemd takes and that are hardened, commands and
settings that exist. Containers are not built here.
"""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from stream.cli.app import app
from stream.config import Config, load_config

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
UNITS = sorted((DEPLOY / "systemd").iterdir())
SERVICES = [unit for unit in UNITS if unit.suffix == ".service"]
MOST_EXPOSED = 2.5  # of 10, as `systemd-analyze security` counts
HELP = {"COLUMNS": "200", "NO_COLOR": "1"}


def commands():
    compose = yaml.safe_load((DEPLOY / "compose.yml").read_text())
    for name, service in compose["services"].items():
        if service.get("image") == "cytostream":
            yield pytest.param(service["command"], id=f"compose {name}")
    for unit in SERVICES:
        (line,) = re.findall(r"^ExecStart=\S+/cytostream (.+)$", unit.read_text(), re.MULTILINE)
        yield pytest.param(shlex.split(line), id=unit.name)


@pytest.mark.parametrize("words", list(commands()))
def test_every_command_and_option_exists(words):
    said = CliRunner().invoke(app, [words[0], "--help"], env=HELP)
    assert said.exit_code == 0
    assert not [word for word in words if word.startswith("--") and word not in said.output]


def test_its_configuration_is_one():
    config = load_config(DEPLOY / "lab.toml")
    assert config.identity.demand == "order" and config.monitoring.log_format == "json"


def variables():
    texts = [path.read_text() for path in [DEPLOY / "compose.yml", *SERVICES]]
    return sorted({name for text in texts for name in re.findall(r"CYTOSTREAM_\w+", text)})


@pytest.mark.parametrize("name", variables())
def test_every_variable_is_a_setting(name):
    if name in ("CYTOSTREAM_BOOTSTRAP", "CYTOSTREAM_SECRETS"):
        return
    section, _, key = name.removeprefix("CYTOSTREAM_").lower().partition("__")
    assert key in type(getattr(Config(), section)).model_fields


def test_a_scrape_finds_the_addresses_of_the_services():
    compose = yaml.safe_load((DEPLOY / "compose.yml").read_text())["services"]
    scrape = yaml.safe_load((DEPLOY / "prometheus.yml").read_text())["scrape_configs"][0]
    (targets,) = [one["targets"] for one in scrape["static_configs"]]
    own = [name for name, service in compose.items() if service["image"] == "cytostream"]
    assert targets == [f"{name}:9464" for name in own]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="systemd is not installed")
@pytest.mark.parametrize("unit", SERVICES, ids=lambda unit: unit.name)
def test_units_are_taken_and_hardened(unit, tmp_path):
    own = tmp_path / unit.name
    own.write_text(unit.read_text().replace("/opt/cytostream/bin/cytostream", "/bin/true"))
    taken = subprocess.run(["systemd-analyze", "verify", own], capture_output=True, text=True)
    assert taken.returncode == 0 and unit.name not in taken.stderr, taken.stderr
    asked = ["systemd-analyze", "security", "--offline=yes", "--no-pager", own]
    said = subprocess.run(asked, capture_output=True, text=True).stdout
    level = float(re.search(r"exposure level for .*: ([\d.]+)", said)[1])
    assert level <= MOST_EXPOSED


def test_the_installation_is_one_script():
    subprocess.run(["sh", "-n", DEPLOY / "install.sh"], check=True)
    assert "/src/deploy/install.sh /opt/cytostream" in (DEPLOY / "Containerfile").read_text()

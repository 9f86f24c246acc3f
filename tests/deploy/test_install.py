"""The steps of the installation, with a Python that only writes down what it is asked; `make
install-check` does them for real, and the container has the same script.
"""

import shutil
import subprocess
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
PYTHON = """#!/bin/sh
echo "$@" >> "{log}"
if [ "$1 $2" = "-m venv" ]; then
    mkdir -p "$3/bin" && cp "$0" "$3/bin/python"
    printf '#!/bin/sh\\necho cytostream 0\\n' > "$3/bin/cytostream" && chmod +x "$3/bin/cytostream"
fi
"""


@pytest.fixture
def install(tmp_path):
    """Runs the script of a copy of the project's folder; gives what it says and asked for."""
    project = tmp_path / "project"
    (project / "deploy").mkdir(parents=True)
    shutil.copy(DEPLOY / "install.sh", project / "deploy")
    log = tmp_path / "asked"
    python = tmp_path / "python"
    python.write_text(PYTHON.format(log=log))
    python.chmod(0o755)

    def install(*words, lock=False):
        if lock:
            (project / "deploy" / "requirements.lock").write_text("a==1 --hash=sha256:0\n")
        done = subprocess.run(
            [project / "deploy" / "install.sh", *words],
            env={"PATH": "/usr/bin:/bin", "PYTHON": str(python)},
            capture_output=True,
            text=True,
        )
        return done, log.read_text().splitlines() if log.exists() else []

    install.project = project
    return install


def test_it_installs_this_checkout_with_the_extras(install, tmp_path):
    done, asked = install(tmp_path / "there", "lis")
    assert (done.returncode, done.stdout) == (0, "cytostream 0\n")
    assert asked[0] == f"-m venv {tmp_path}/there" and len(asked) == 2
    assert asked[1].endswith(f"{install.project}[lis]")


def test_with_a_lock_file_nothing_else_is_taken(install, tmp_path):
    done, asked = install(tmp_path / "there", lock=True)
    assert done.returncode == 0
    packages, own = asked[1:]
    assert "--no-deps --require-hashes -r" in packages and packages.endswith("requirements.lock")
    assert "--no-deps --no-build-isolation" in own and own.endswith(str(install.project))


def test_without_a_place_it_says_how_it_is_used(install):
    done, asked = install()
    assert done.returncode != 0 and "usage: deploy/install.sh PREFIX" in done.stderr and not asked


def test_the_container_runs_this_script_with_its_extras():
    container = (DEPLOY / "Containerfile").read_text()
    script = (DEPLOY / "install.sh").read_text()
    (extras,) = [line.partition("=")[2] for line in container.splitlines() if line[:4] == "ARG "]
    assert 'RUN /src/deploy/install.sh /opt/cytostream "$EXTRAS"' in container
    assert f"extras=${{2:-{extras}}}" in script

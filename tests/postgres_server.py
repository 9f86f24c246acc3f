"""A PostgreSQL server of its own in a temporary folder, for tests and tools; Debian's `postgresql`
has what it needs. It refuses to run as root, so that another user runs it then.
"""

import os
import pwd
import shutil
import subprocess
import uuid
from pathlib import Path
from tempfile import mkdtemp

import psutil

INSTALLED = Path("/usr/lib/postgresql")
USER = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
# durability that tests of killed processes need is kept; a test of a killed server asks for it
FAST = ("fsync=off", "synchronous_commit=off", "full_page_writes=off")


def why_absent() -> str:
    """Why there can be no server; empty where there can."""
    if not list(INSTALLED.glob("*/bin/initdb")):
        return "PostgreSQL is not installed (`make postgres`)"
    if os.geteuid() == 0 and (not shutil.which("setpriv") or not _has_user()):
        return "PostgreSQL does not run as root, and there is no user postgres"
    return ""


def _has_user() -> bool:
    return any(entry.pw_name == USER for entry in pwd.getpwall())


class PostgresServer:
    """A server that listens on a Unix socket alone, with a database for each who asks."""

    def __init__(self, fast: bool = True):
        self.folder = Path(mkdtemp(prefix="cytostream-pg-", dir="/tmp"))
        self.data = self.folder / "data"
        self.bin = max(INSTALLED.glob("*/bin"), key=lambda path: float(path.parent.name))
        self.settings = FAST if fast else ()
        if os.geteuid() == 0:
            shutil.chown(self.folder, USER, USER)
        self.do("initdb", "--no-sync", "--auth=trust", "--encoding=UTF8", "--no-locale")

    def do(self, command: str, *words: str) -> None:
        """Runs a program of PostgreSQL on the data."""
        as_user = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
        if os.geteuid() != 0:
            as_user = []
        asked = [*as_user, str(self.bin / command), "-D", str(self.data), *words]
        environment = {**os.environ, "LC_ALL": "C.UTF-8", "HOME": str(self.folder)}
        ended = subprocess.run(
            asked, cwd=self.folder, env=environment, text=True, capture_output=True, timeout=60
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr

    def start(self) -> None:
        """Starts it, and waits until it answers."""
        options = [f"-k {self.folder}", "-h ''", "-c max_connections=300"]
        options += [f"-c {setting}" for setting in self.settings]
        log = str(self.folder / "log")
        self.do("pg_ctl", "start", "--wait", "--log", log, "--options", " ".join(options))

    def kill(self) -> None:
        """Ends the server and all its processes by SIGKILL, as a machine that loses power."""
        pid = int((self.data / "postmaster.pid").read_text().split()[0])
        parent = psutil.Process(pid)
        processes = [parent, *parent.children(recursive=True)]
        for process in processes:
            process.kill()
        psutil.wait_procs(processes, timeout=1)  # nobody may be there to reap them
        for lock in (self.data / "postmaster.pid", *self.folder.glob(".s.PGSQL.*.lock")):
            lock.unlink(missing_ok=True)

    def database(self) -> str:
        """The URL of a new, empty database."""
        import psycopg

        name = f"test_{uuid.uuid4().hex}"
        with psycopg.connect(
            host=str(self.folder), user=USER, dbname="postgres", autocommit=True
        ) as link:
            link.execute(f"CREATE DATABASE {name}")
        return f"postgresql://{USER}@/{name}?host={self.folder}"

    def close(self) -> None:
        """Stops it and removes its folder."""
        self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)

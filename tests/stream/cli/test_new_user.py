"""Further mistakes of a new user, and Ctrl-C at any moment: one line each, with the next step, and
no traceback; nothing is made that was not asked for.
"""

import os
import re
import signal
import socket
import threading
import urllib.request
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

from segment import Scan
from stream.cli import session as opening
from stream.cli.commands.run import report_line, with_slide_alerts
from stream.cli.console import report_table
from stream.events import Progress, SlideAlert, slide_alert_event
from stream.run import SlideOutcome
from stream.run.slide_run import SlideRun
from stream.sinks import Relay
from stream.store import ResultWriter
from tests.make import smear
from tests.stores import STAMP, filled

NONE = ("--sink", "none", "--workers", "0")


@pytest.fixture(scope="module")
def slide_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("slide") / "smear.tiff"
    smear(path, side_px=700, whites=3)
    return path


@pytest.fixture
def forbidden() -> Path:
    """A folder that nobody can make, root neither."""
    folder = Path("/sys/kernel/cytostream")
    if not folder.parent.is_dir():
        pytest.skip("no /sys on this machine")
    return folder


def check_told(told: str, what: str, next_step: str) -> None:
    lines = [line for line in told.strip().splitlines() if not line.startswith("engine ")]
    assert "Traceback" not in told and len(lines) <= 4, told
    assert what in told and next_step in lines[-1] and lines[-1].startswith("  -> "), told


def test_a_store_that_cannot_be_made(cytostream, forbidden, slide_file):
    code, told = cytostream("run", slide_file, "--store", forbidden / "store", *NONE)
    assert code == 1
    check_told(told, "cannot be made", "choose another --store")


@pytest.mark.parametrize("words", [("export-results", "--out"), ("map", "--out")])
def test_an_output_folder_that_cannot_be_written(
    cytostream, forbidden, slide_file, words, tmp_path
):
    if words[0] == "map":
        code, told = cytostream("map", slide_file, "--out", forbidden / "map.png")
    else:
        filled(tmp_path / "results", cells=2).close()
        code, told = cytostream("export-results", "--store", "results", "--out", forbidden / "o")
    assert code == 1
    check_told(told, "/sys/kernel/cytostream", "--out")


def test_a_port_that_is_taken(cytostream, tmp_path):
    filled(tmp_path / "results", cells=2).close()
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, told = cytostream("serve", "--store", "results", "--port", port, "--sink", "none")
    assert code == 1 and "Traceback" not in told
    assert str(port) in told and "choose another --port" in told.lower(), told


def test_a_broker_that_is_not_there(cytostream, slide_file, tmp_path):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    config = tmp_path / "lab.toml"
    config.write_text(f"[kafka]\nbootstrap = '127.0.0.1:{port}'\ngive_up_s = 0.2")
    code, told = cytostream(
        "run", slide_file, "--store", "results", "--config", config, "--workers", 0
    )
    assert code == 1 and "Traceback" not in told
    assert "events wait in the store" in told and "the same command sends them" in told


@pytest.mark.parametrize(
    ("module", "extra"),
    [("torch", "train"), ("matplotlib", "train"), ("noida_db", "broker"), ("bokeh", "dashboard"),
     ("tensorrt_rtx", "rtx"), ("tensorrt", "tensorrt")],
)  # fmt: skip
def test_each_extra_that_is_missing_is_named(cytostream, monkeypatch, module, extra):
    def absent(name: str) -> None:
        raise ModuleNotFoundError(f"No module named {module!r}", name=module)

    monkeypatch.setattr(import_module("stream.cli.app"), "import_module", absent)
    code, told = cytostream("doctor")
    assert code == 1
    check_told(told, f"needs {module}", f"pip install -e '.[{extra}]'")


@pytest.mark.parametrize("mpp", ["5", "0", "-0.25", "nan"])
def test_a_scale_that_no_microscope_has(cytostream, slide_file, mpp):
    code, told = cytostream("run", slide_file, f"--mpp={mpp}", "--store", "results", *NONE)
    assert code in (1, 2) and "Traceback" not in told and "mpp" in told
    assert not Path("results").exists()


def test_another_scale_than_that_of_a_slide_that_is_done(cytostream, slide_file, tmp_path):
    config = tmp_path / "lab.toml"
    config.write_text("[reading]\nred_cell_um = 0")
    words = ("run", slide_file, "--store", "results", "--config", config, *NONE)
    assert cytostream(*words)[0] == 0
    code, told = cytostream(*words, "--mpp-override", "0.3")
    assert code == 1 and "begun in results with another mpp" in " ".join(told.split())
    assert "--again" in told and "Traceback" not in told


@pytest.fixture(autouse=True)
def interruptible() -> Iterator[None]:
    """Ctrl-C interrupts, also where the tests were started in the background, which ignores it."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before or signal.SIG_DFL)


def interrupt(*_: object, **__: object) -> None:
    signal.raise_signal(signal.SIGINT)


MOMENTS = {
    "while workers start": (opening, "open_workers"),
    "while the engine is opened": (opening, "open_engine"),
    "at the first tile": (Scan, "cells_in"),
    "in the middle of a slide": (SlideRun, "commit"),
    "while results are written": (ResultWriter, "write"),
    "while the last events are sent": (Relay, "drain"),
}


@pytest.mark.parametrize("moment", MOMENTS)
def test_ctrl_c_ends_a_run_in_order(cytostream, monkeypatch, slide_file, moment):
    words = ("run", slide_file, "--store", "results", "--sink", "jsonl:e.jsonl", "--workers", 0)
    with monkeypatch.context() as patch:
        patch.setattr(*MOMENTS[moment], interrupt)
        code, told = cytostream(*words)
    lines = [line for line in told.strip().splitlines() if not line.startswith("engine ")]
    assert code == 130 and "Traceback" not in told and len(lines) <= 2, told
    assert "the same command goes on" in lines[-1]
    code, told = cytostream(*words)
    assert code == 0, told
    text = Path("e.jsonl").read_text()
    ids = re.findall(r'"id": ?"([^"]+)"', text)
    assert len(ids) == len(set(ids)) and '"status": "done"' in text.replace('":"', '": "')


def test_the_summary_counts_the_alerts_of_the_slide_too(tmp_path):
    made = filled(tmp_path / "results", cells=4, odd=1)
    alerts = [
        SlideAlert(rule, "warning", 1.0, 0.5, "made by a test", 4, "scanner")
        for rule in ("excess blast", "drift", "drift")
    ]
    with made.outbox.transaction() as tx:
        tx.add(slide_alert_event(made.slide.slide_id, alert, STAMP) for alert in alerts)
    one = SlideOutcome(made.slide, "done", made.counts, Progress(cells=4, alerts=made.alerts))
    told = with_slide_alerts(made.outbox, one)
    made.close()
    assert told.slide_alerts == 2 and report_line(told)["slide_alerts"] == 2
    (shown,) = report_table([told]).columns[5].cells
    assert shown == str(made.alerts + 2)


def test_ctrl_c_ends_the_page_that_is_open(cytostream, tmp_path, monkeypatch):
    """With a page that follows the store: its stream ends, and then the server."""
    made = filled(tmp_path / "results", cells=2)
    made.close()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    followed = threading.Event()
    printed: list[str] = []
    serve = import_module("stream.cli.review_page")
    monkeypatch.setattr(serve, "say_where", lambda *facts: printed.append(str(facts[-1])))

    def follow() -> None:
        jar = urllib.request.HTTPCookieProcessor()
        browser = urllib.request.build_opener(jar)
        base = f"http://127.0.0.1:{port}/"
        while True:  # until the server is up; the test has a time limit
            try:
                browser.open(base + printed[0], timeout=20).read()
                break
            except (OSError, IndexError):
                followed.wait(0.05)
        with browser.open(base + "api/live", timeout=20) as stream:
            stream.readline()
            followed.set()
            os.kill(os.getpid(), signal.SIGINT)
            stream.read()

    page = threading.Thread(target=follow, daemon=True)
    page.start()
    code, told = cytostream("serve", "--store", "results", "--port", port, "--sink", "none")
    page.join(10)
    assert followed.is_set() and "Traceback" not in told
    assert code in (0, 130) and len(told.strip().splitlines()) <= 3, told

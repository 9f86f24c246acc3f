"""The program around the commands: the table of them, how each way to end is said, what is logged,
who may use the page, and which slides are named.
"""

import json
import logging
import os
import stat
import sys
from importlib import import_module
from itertools import count
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer
from typer._click.exceptions import UsageError

from ingest import CytostreamError
from stream.cli import fork_server, json_logs, observing, page_access, slide_lists
from stream.cli.command_table import COMMANDS
from stream.cli.page_server import Page
from stream.config import Config, MonitoringSettings
from stream.events import Progress
from tests.approved import approved
from tests.recorded import Named, Recorded

program = import_module("stream.cli.app")


@pytest.fixture
def recorded(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return Recorded(monkeypatch)


def test_the_table_of_commands():
    lines = [
        f"{entry.panel} | {name} | {entry.module}.{entry.name} | "
        f"{'reads' * entry.reads} {'workers' * entry.workers} | {entry.summary}"
        for name, entry in COMMANDS.items()
    ]
    approved(__file__, "command_table", "\n".join(lines))


def ended(recorded, capsys, monkeypatch, *words):
    """The line of how the program ended, and what it said."""
    monkeypatch.setattr(sys, "argv", ["cytostream", *words])
    with pytest.raises(SystemExit) as stopped:
        program.run_command()
    said = capsys.readouterr()
    recorded.lines.append(f"$ cytostream {' '.join(words)} -> {stopped.value.code!r}")
    recorded.lines += [line.rstrip() for line in (said.out + said.err).splitlines()]


def test_every_way_to_end(recorded, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    recorded.put(os, "umask")
    answers = {}

    class App:
        def __call__(self, standalone_mode):
            recorded.lines.append(f"app(standalone_mode={standalone_mode})")
            answer = answers["now"]
            if isinstance(answer, BaseException):
                raise answer
            return answer

    context = SimpleNamespace(command_path="cytostream run")
    monkeypatch.setattr(program, "app", App())
    alone = UsageError("no such option.")
    with_context = UsageError("Input should be a number.\x07")
    with_context.ctx = context
    for answer in (
        None,
        3,
        "text",
        typer.Abort(),
        CytostreamError("it failed", "try it"),
        ModuleNotFoundError("no", name="torch.nn"),
        ModuleNotFoundError("no", name="hl7apy"),
        ModuleNotFoundError("no", name="mystery.part"),
        ModuleNotFoundError("no"),
        alone,
        with_context,
    ):
        answers["now"] = answer
        ended(recorded, capsys, monkeypatch, "x")
    answers["now"] = ValueError("a fault of the program")
    with pytest.raises(ValueError, match="a fault of the program"):
        program.run_command()
    approved(__file__, "ways_to_end", "\n".join(recorded.lines))


def test_every_package_of_an_extra_is_named_with_it():
    names = [*program._EXTRAS]
    hints = {name: program.missing_package(SimpleNamespace(name=name)) for name in names}
    lines = [f"{name}: {error.what} -> {error.hint}" for name, error in hints.items()]
    approved(__file__, "extras", "\n".join(lines))


def test_what_a_command_reads_is_looked_for_first(recorded, capsys, monkeypatch):
    begun = recorded.function("begin_fork_server")
    monkeypatch.setattr(fork_server, "begin_fork_server", begun)
    monkeypatch.setattr(program, "load_command", recorded.function("load_command", stop))
    Path("there").touch()
    Path("gone").symlink_to("nowhere")
    group = typer.main.get_command(program.app)
    for words in (
        ["run", "none\x07", "--x"],
        ["run", "there", "--x"],
        ["run", "gone"],
        ["run", "--help"],
        ["run"],
        ["run", "there", "--help"],
        ["tail", "none"],
        ["locate", "there", "--workers", "0"],
    ):
        recorded.lines.append(f"$ {words}")
        context = typer._click.core.Context(group, info_name="cytostream")
        try:
            group.resolve_command(context, words)
        except (typer.Exit, StoppedError) as end:
            recorded.lines.append(f"{type(end).__name__} {getattr(end, 'exit_code', '')}")
        recorded.lines += capsys.readouterr().err.splitlines()
    approved(__file__, "resolved", "\n".join(recorded.lines))


class StoppedError(Exception):
    """In the place of a command."""


def stop(name):
    raise StoppedError(name)


def test_modules_that_a_command_imports_are_not_searched_for_garbage(monkeypatch):
    calls = []
    for was_on in (True, False):
        state = SimpleNamespace(
            isenabled=lambda was_on=was_on: was_on,
            disable=lambda: calls.append("disable"),
            freeze=lambda: calls.append("freeze"),
            enable=lambda: calls.append("enable"),
        )
        monkeypatch.setattr(program, "gc", state)
        with program.uncollected():
            calls.append("in")
    assert calls == ["disable", "in", "freeze", "enable", "disable", "in", "freeze"]


def test_verbose_logs_what_the_program_does(monkeypatch):
    given = []
    monkeypatch.setattr(logging, "basicConfig", lambda **named: given.append(named))
    logger = logging.getLogger("stream")
    monkeypatch.setattr(logger, "level", logging.WARNING)
    program.settings(verbose=False)
    assert not given and logger.level == logging.WARNING
    program.settings(verbose=True)
    assert given == [{"format": "%(asctime)s %(levelname)s %(message)s"}]
    assert logger.level == logging.INFO
    assert program.settings.__defaults__ == (False, False)


def test_logs_are_of_the_form_and_level_of_the_settings(monkeypatch):
    root = logging.Logger("root")
    own = {name: logging.Logger(name) for name in json_logs.LOGGERS}
    own["ingest"].level = logging.DEBUG
    own["segment"].level = logging.ERROR
    own["classify"].level = logging.NOTSET
    monkeypatch.setattr(logging, "getLogger", lambda name="": own.get(name, root))
    json_logs.set_up_logs(MonitoringSettings(log_level="info"))
    (handler,) = root.handlers
    assert handler.formatter._fmt == "%(asctime)s %(levelname)s %(message)s"
    json_logs.set_up_logs(MonitoringSettings(log_format="json", log_level="warning"))
    assert root.handlers == [handler] and isinstance(handler.formatter, json_logs.JsonLines)
    levels = {name: logger.level for name, logger in own.items()}
    assert levels == {"stream": 20, "ingest": 10, "segment": 20, "classify": 20}
    record = logging.LogRecord("stream.x", logging.ERROR, "f", 1, "a %s", ("b",), None)
    record.created, record.slide_id, record.seconds = 0.25, "s1", Path("x")
    said = json.loads(handler.format(record))
    assert said == {
        "at": "1970-01-01T00:00:00.250000+00:00",
        "level": "error",
        "logger": "stream.x",
        "message": "a b",
        "slide_id": "s1",
        "seconds": "x",
    }
    try:
        raise ValueError("inside")
    except ValueError:
        record.exc_info = sys.exc_info()
    assert json.loads(handler.format(record))["exception"].endswith("ValueError: inside")


def test_variables_of_workers_are_set_for_their_start_alone(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    for name in set(fork_server.ENVIRONMENT) - {"OMP_NUM_THREADS"}:
        monkeypatch.delenv(name, raising=False)
    before = dict(os.environ)
    with pytest.raises(StoppedError), fork_server.environment(fork_server.ENVIRONMENT):
        assert dict(os.environ) == {**before, **fork_server.ENVIRONMENT, "OMP_NUM_THREADS": "3"}
        raise StoppedError
    assert dict(os.environ) == before
    assert fork_server.ENVIRONMENT["MALLOC_TRIM_THRESHOLD_"] == "134217728"


def test_who_may_use_the_page(recorded, tmp_path):
    def accounts(now, before):
        return SimpleNamespace(has_any=lambda: now, had_any=lambda: before)

    secret = tmp_path / "secret"
    by_proxy = {"proxy_header": "x-user", "hosts": ["lab"]}
    issuer = {"issuer": "https://id", "client_id": "c", "address": "https://lab"}
    oidc = {"oidc": {**issuer, "roles": {"doctors": "reviewer"}}}
    for review, page, people in (
        ({}, {}, (False, False)),
        ({}, {}, (True, True)),
        ({}, {}, (False, True)),
        ({}, {"open_again": True}, (False, True)),
        ({}, {"host": "10.0.0.1"}, (False, False)),
        ({}, {"host": "10.0.0.1", "open_again": True}, (False, True)),
        ({}, {"host": "10.0.0.1"}, (True, True)),
        ({"proxy_socket": "s"}, {}, (False, False)),
        ({"proxy_socket": "s"}, {}, (True, True)),
        (oidc, {"host": "10.0.0.1"}, (False, True)),
        ({**oidc, **by_proxy}, {}, (False, False)),
        (by_proxy, {}, (True, True)),
        ({**by_proxy, "proxy_secret_file": str(secret)}, {}, (True, True)),
        ({**by_proxy, "proxy_socket": "s"}, {"host": "10.0.0.1"}, (False, False)),
        ({**by_proxy, "proxy_socket": "s", "hosts": []}, {}, (False, False)),
    ):
        settings = Config(review=review)
        try:
            said = page_access.mode_of(Page(Path("st"), **page), settings, accounts(*people))
        except CytostreamError as error:
            said = f"{error.what} -> {error.hint}"
        recorded.lines.append(f"{review} {page} {people}: {said}")
    approved(__file__, "page_access", "\n".join(recorded.lines), folder=tmp_path)


def test_the_secret_of_a_proxy(tmp_path):
    secret = tmp_path / "secret"
    settings = Config(review={"proxy_secret_file": str(secret)})

    def refused():
        with pytest.raises(CytostreamError) as told:
            page_access.read_proxy_secret(settings)
        return f"{told.value.what} -> {told.value.hint}"

    assert page_access.read_proxy_secret(Config()) == ""
    assert refused() == (
        f"{secret}: cannot be read: [Errno 2] No such file or directory: '{secret}' -> "
        "give a file with the secret"
    )
    secret.write_text("x" * 31 + "\n")
    secret.chmod(0o660)
    short = f"{secret}: a secret of fewer than 32 characters -> openssl rand -hex 32"
    assert refused() == short
    secret.write_text("x" * 32 + "\n")
    assert page_access.read_proxy_secret(settings) == "x" * 32
    for mode in (0o664, 0o662, 0o661):
        secret.chmod(mode)
        everybody = f"{secret}: everybody on this machine can read it -> chmod o= {secret}"
        assert refused() == everybody
    secret.chmod(0o600)
    secret.write_bytes(b"\xff" * 40)
    assert "cannot be read" in refused()


def test_the_slides_that_a_command_line_names(recorded, tmp_path, monkeypatch):
    for name in ("a.svs", "b.svs", "c.svs"):
        Path(name).touch()
    for name in ("l.txt", "m.lst", "n.list"):
        Path(name).write_text(f"# of {name}\n\n b.svs \n{tmp_path}/a.svs\nd{name}\n")
    names = [Path(name) for name in ("a.svs", "l.txt", "m.lst", "n.list", "c.svs", "none.svs")]
    found = slide_lists.expanded([*names, Path("bad\udcff.svs"), Path("./c.svs")])
    recorded.lines += [str(path) for path in found.slides]
    recorded.lines += [
        f"left out {slide_lists.shown_path(path)}: {why}" for path, why in found.left_out.items()
    ]
    looks = {
        Path("whole"): ([Path("whole/x.svs"), Path("a.svs")], [], {}),
        Path("some"): ([], [Path("some/y\udcff.svs")], {Path("some/z"): "no right"}),
        Path("none"): ([], [], {}),
    }

    def look_at_folder(folder, follow_links):
        slides, refused, unseen = looks[folder]
        recorded.lines.append(f"look at {folder}, links {follow_links}")
        named = [Named("slide", path=path) for path in slides]
        return SimpleNamespace(slides=named, refused=refused, unseen=unseen)

    monkeypatch.setattr(slide_lists, "look_at_folder", look_at_folder)
    for folder in looks:
        folder.mkdir()
    found = slide_lists.expanded([Path("a.svs"), Path("whole"), Path("some")])
    recorded.lines += [str(path) for path in found.slides]
    recorded.lines += [
        f"left out {slide_lists.shown_path(path)}: {why}" for path, why in found.left_out.items()
    ]
    Path("bad.txt").write_bytes(b"\xff")
    for path in ("none", "bad.txt", "absent.txt"):
        with pytest.raises(CytostreamError) as told:
            slide_lists.expanded([Path(path)])
        recorded.lines.append(f"{told.value.what} -> {told.value.hint}")
    assert not slide_lists.is_folder(Path("a" * 5000))
    approved(__file__, "slide_lists", "\n".join(recorded.lines), folder=tmp_path)


class Figure:
    """A metric that writes down what it is given."""

    def __init__(self, recorded, name):
        self.recorded, self.name = recorded, name

    def labels(self, *names):
        return Figure(self.recorded, f"{self.name}{list(names)}")

    def __getattr__(self, how):
        return self.recorded.function(f"{self.name}.{how}")


def test_what_an_observer_counts(recorded, monkeypatch):
    clock = count(10.0, 1.5)
    monkeypatch.setattr(observing, "monotonic", lambda: next(clock))
    names = ("cells", "tiles", "ended", "stages", "engine", "workers")
    metrics = SimpleNamespace(**{name: Figure(recorded, name) for name in names})
    metrics.workers.set_function = lambda asked: recorded.lines.append(f"{asked()} workers")
    health = Named("health", started=recorded.function("started"))
    for observer in (observing.Observer(), observing.Observer(metrics, health)):
        observer.ready()
    monkeypatch.setattr(observing, "replace", lambda lab, **named: SimpleNamespace(**named))
    lab = SimpleNamespace(
        engine=Named("openvino", precision="f16"),
        stamp=SimpleNamespace(model_hash="m1"),
        workers=SimpleNamespace(count=3),
        on_progress=recorded.function("on_progress"),
    )
    assert observing.Observer().of(lab) is lab
    counted = observer.of(lab)
    slide = Named("slide", slide_id="s1")
    for tiles, cells in ((2, 10), (5, 12), (4, 11), (9, 40)):
        counted.on_progress(slide, Progress(tiles_done=tiles, cells=cells), "counts")
    counted.on_stage("read", 0.5)
    for status, of in (("done", slide), ("done", slide), ("failed", None)):
        observing.Observer().ended(SimpleNamespace(status=status, slide=of))
        observer.ended(SimpleNamespace(status=status, slide=of))
    counted.on_progress(slide, Progress(tiles_done=50, cells=60), "counts")
    observing.Observer()._count("s1", Progress())
    approved(__file__, "observer", "\n".join(recorded.lines))


def test_what_is_observed_of_a_store(recorded, monkeypatch, tmp_path):
    from stream import monitoring

    for name in ("state.db", "reviews.db"):
        (tmp_path / name).touch()
    recorded.put(observing, "FigureQueries", lambda path: Named(path.name, close=closed(path)))
    recorded.put(observing, "server_of", None)
    recorded.put(observing, "version", "1.2")

    def closed(path):
        return recorded.function(f"close {path.name}")

    registry = Named("registry", register=recorded.function("register"))
    metrics = Named("metrics", registry=registry, relay_up=Figure(recorded, "relay_up"))
    recorded.put(monitoring, "ProcessMetrics", metrics)
    recorded.put(monitoring, "StoreCollector", "collector")
    checks = {}
    health = Named("health", add=lambda name, check: checks.update({name: check}))
    recorded.put(monitoring, "Health", health)
    recorded.put(monitoring, "check_store_files", "")
    recorded.context(monitoring, "open_monitoring")
    relays = {"results": [Named("kafka", trouble=None)], "reviews": [Named("jsonl", trouble="x")]}
    off = Named("settings", monitoring=SimpleNamespace(address=""))
    with observing.observing(tmp_path, off, relays) as observer:
        assert observer == observing.Observer()
    on = Named("settings", monitoring=Named("monitoring", address="h:1"))
    with observing.observing(tmp_path, on, relays) as observer:
        assert (observer.metrics, observer.health) == (metrics, health)
        checks["store"]()
    (tmp_path / "reviews.db").unlink()
    with observing.observing(tmp_path, on, {}):
        pass
    recorded.put(observing, "server_of", "a server")
    with observing.observing(tmp_path, on, {}):
        pass
    ups = [observing.is_up(one)() for own in relays.values() for one in own]
    assert ups == [1.0, 0.0]
    approved(__file__, "observed", "\n".join(recorded.lines), folder=tmp_path)


def test_files_of_a_run_are_its_owners_alone(recorded, monkeypatch, tmp_path):
    monkeypatch.setattr(program, "app", lambda **_: (tmp_path / "new").touch())
    before = os.umask(0o022)
    try:
        with pytest.raises(SystemExit):
            program.run_command()
        assert stat.S_IMODE((tmp_path / "new").stat().st_mode) == 0o600
    finally:
        os.umask(before)

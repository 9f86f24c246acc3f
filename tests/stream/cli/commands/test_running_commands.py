"""The commands that run for long: what they open, in which order, with what, and what they say;
nothing is opened here.
"""

import importlib
import threading
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from types import SimpleNamespace

import pytest
import uvicorn

from ingest import CytostreamError, Failure, Slide
from stream.cli import page_server, review_page, session
from stream.cli.commands import relay, run, serve, watch
from stream.cli.commands.laboratory import lis
from stream.cli.options import RunOptions
from stream.cli.page_server import Page
from stream.config import Config
from stream.events import Progress
from stream.run import SlideOutcome
from stream.store import Job
from tests.approved import approved
from tests.recorded import Named

SLIDE = Slide("s1", Path("/scans/a.svs"), 4000, 3000, 0.25, (), "generic", "unknown", "image")


def outcome(status="done", failure=None, **more):
    progress = Progress(tiles_done=3, tiles=4, cells=12, alerts=2, failures=1)
    slide = None if failure else SLIDE
    return SlideOutcome(slide, status, Counter(blast=2, other=1), progress, failure, **more)


FAILED = outcome("failed", Failure("s2", "read", "b.svs: no image", "scan it again"), damaged=True)
RED = {"cells": 90, "kinds": {"normal": {"grade": 0}, "oval": {"grade": 2, "percent": 12.34}}}


@pytest.fixture
def station(recorded, monkeypatch):
    """What every such command opens."""
    stopped = threading.Event()
    relays = [Named("relay 1", ready=threading.Event(), trouble=None), Named("relay 2")]
    relays[0].ready.set()
    relays[1].ready = relays[0].ready
    backlog = Named("backlog", add=recorded.function("backlog.add"), is_open=lambda only: False)
    outbox = Named("outbox", events=lambda *_, **__: [], leases=None)
    opened = Named("station", relays=relays, backlog=backlog, outbox=outbox, store=Path("st"))
    plain = Config()
    named = {one: getattr(plain, one) for one in Config.model_fields}
    settings = opened.config = Named("settings", **named)
    for place in (run, watch, relay, lis):
        recorded.context(place, "GracefulStop", Named("ending", stop=stopped))
        if hasattr(place, "open_station"):
            recorded.context(place, "open_station", opened)
        if hasattr(place, "open_lab"):
            recorded.context(place, "open_lab", Named("lab", outbox=outbox, stamp=None))
        if hasattr(place, "observing"):
            of = recorded.function("observer.of", Named("observed lab"))
            ready = recorded.function("observer.ready")
            observer = Named("observer", ready=ready, ended=None, of=of)
            recorded.context(place, "observing", observer)
        if hasattr(place, "load_config"):
            recorded.put(place, "load_config", settings)
        if hasattr(place, "set_up_logs"):
            recorded.put(place, "set_up_logs")
        recorded.put(place, "drain", 0)
    opened.stopped = stopped
    return opened


def hold(name, recorded, folder):
    approved(__file__, name, "\n".join(recorded.lines), folder=folder)


def test_slides_are_run(station, recorded, typed, tmp_path, monkeypatch):
    job = Job(tmp_path / "a.svs")
    done = outcome(red_cells=RED, unfit=("too thick",))
    answers = iter([[(job, done)], [(job, FAILED)], [], []])
    recorded.put(run, "work", lambda *_, **__: next(answers))
    recorded.put(run, "asked_work", lambda lab: "as asked")
    recorded.put(run, "outcome_report", lambda outbox, job: outcome("done before"))
    alerts = [SimpleNamespace(event=SimpleNamespace(data={"rule": rule})) for rule in "aba"]
    station.outbox.events = recorded.function("outbox.events", alerts)
    station.backlog.jobs = recorded.function("backlog.jobs", [job])
    (tmp_path / "a.svs").touch()
    (tmp_path / "l.txt").write_text("a.svs\n# no\n")
    typed("run", "a.svs", "--sink", "none", "--store", "st", "--json", "--mpp", 0.3)
    typed("run", "a.svs", "l.txt", "--again", "--shadow", "b", "--engine", "openvino", code=1)
    recorded.put(run, "drain", 7)
    typed("run", "a.svs", "--tile-px", 512, code=1)
    station.stopped.set()
    station.backlog.is_open = recorded.function("backlog.is_open", True)
    typed("run", "a.svs", "--workers", 3, "--area", "battlement", code=130)
    hold("run", recorded, tmp_path)


def test_why_a_slide_waits_and_what_was_left_out(station, recorded, tmp_path, capsys, monkeypatch):
    run.waits(Job(Path("a.svs")), CytostreamError("away", "mount it"))
    left_out = {Path("b.svs"): ("its name is not UTF-8", "rename it")}
    found = SimpleNamespace(slides=[Path("a.svs")], left_out=left_out)
    monkeypatch.setattr(run, "expanded", lambda slides: found)
    recorded.put(run, "run_jobs", ([outcome()], 0))
    is_whole = run.run_slides([Path("x")], Path("st"), Config(), RunOptions(), 0.3)
    assert not is_whole
    assert run.with_slide_alerts(station.outbox, FAILED) is FAILED
    recorded.lines += capsys.readouterr().err.splitlines()
    recorded.lines += [str(run.report_line(one)) for one in (outcome(unfit=("thick",)), FAILED)]
    hold("run_parts", recorded, tmp_path)


def test_a_folder_is_watched(station, recorded, typed, tmp_path, monkeypatch):
    (tmp_path / "scans").mkdir()
    recorded.put(watch, "check_address")
    recorded.put(watch, "intake_token", "secret")
    recorded.context(watch, "open_intake")
    intake = Named("intake", folder=Path("scans"), closed_folders=lambda: (Path("q"),))
    intake.looking = None
    recorded.context(intake, "looking")
    made = recorded.function("FolderIntake", lambda **_: intake)
    monkeypatch.setattr(watch, "FolderIntake", made)
    recorded.put(watch, "work")
    words = "--door", "127.0.0.1:8080", "--door-token", "t", "--once", "--mpp", 0.3
    typed("watch", "scans", "--store", "st", "--sink", "none", *words)

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    recorded.put(watch, "work", interrupted)
    typed("watch", "scans", "--workers", 3, "--mpp-override", 0.2, "--state", "postgresql:x")
    hold("watch", recorded, tmp_path)


def test_what_is_said_of_the_slides_of_a_folder(station, recorded, tmp_path, capsys, monkeypatch):
    seen = []
    station.outbox.transaction = None
    recorded.context(station.outbox, "transaction", Named("tx", add=recorded.function("tx.add")))
    station.outbox.status = lambda slide_id: "done" if slide_id == "s2" else None
    lab = Named("lab", outbox=station.outbox, stamp="<stamp>")
    report = watch.WatchReport(lab, seen.append)
    slides = {"a": SLIDE, "b": SimpleNamespace(slide_id="s2")}

    def opened(lab, path, mpp):
        if path.name not in slides:
            raise CytostreamError("no image", "")
        return slides[path.name]

    recorded.put(watch, "opened_slide", opened)
    recorded.put(watch, "slide_event", lambda slide, status, stamp: f"{slide.slide_id} {status}")
    for name in "abc":
        report.say_seen(Named(name, path=Path(name)))
    report.intake = Named("intake", mpp=0.3)
    report.say_seen(Named("a", path=Path("a")))
    job, error = Job(Path("d/a.svs")), CytostreamError("away", "mount it")
    for one in (error, error, CytostreamError("gone", "scan it"), error):
        report.waits(job, one)
    report.ended(job, outcome())
    assert not report.waiting
    report.waits(job, error)
    report.intake.put_aside = recorded.function("put_aside", Path("q/a.svs"))
    again = outcome("failed", FAILED.failure)
    for one in (outcome("done before"), FAILED, again):
        report.ended(job, one)
    report.intake = None
    report.ended(job, FAILED)
    assert report.put_aside(job, outcome()) is None and len(seen) == 5
    watch.say_token(Path("st/token"), "secret")
    watch.WatchReport(lab).ended(job, outcome())
    recorded.lines += capsys.readouterr().err.splitlines()
    hold("watch_report", recorded, tmp_path)


def test_events_are_sent(station, recorded, typed, tmp_path):
    (tmp_path / "st").mkdir()
    typed("relay", "--store", "st", "--sink", "none")
    recorded.put(relay, "drain", 3)
    station.stopped.set()
    typed("relay", "--store", "st", "--forever", code=1)
    station.stopped.wait = recorded.function("stop.wait")
    typed("relay", "--store", "st", "--forever", code=1)
    late = Named("late", trouble=CytostreamError("no broker", "start one"))
    late.ready = Named("ready", wait=recorded.function("ready.wait", False))
    station.relays.append(late)
    typed("relay", "--store", "st", code=1)
    late.trouble = None
    typed("relay", "--store", "st", code=1)
    hold("relay", recorded, tmp_path)


def test_events_of_slides_are_sent_again(station, recorded, typed, tmp_path):
    (tmp_path / "st").mkdir()

    def row(number, replay_of=""):
        return Named(f"row {number}", event=Named(f"event {number}", replay_of=replay_of))

    outbox = station.outbox
    outbox.slide_ids = lambda: ["s1", "s2"]
    outbox.events = recorded.function("outbox.events", [row(1), row(2, "x")])
    outbox.refused = recorded.function("outbox.refused", [row(7)])
    added = recorded.function("tx.add", lambda events: recorded.lines.extend(map(str, events)))
    outbox.transaction = None
    recorded.context(outbox, "transaction", Named("tx", add=added))
    again = recorded.function("replayed", lambda event, occasion: f"again {event.name}")
    recorded.monkeypatch.setattr(relay, "replayed", lambda event, occasion: again(event, "now"))
    station.backlog.outbox = outbox
    station.backlog.jobs = lambda: [Job(tmp_path / "b.svs", slide_id="s2")]
    typed("replay", "s1", "b.svs", "--store", "st", "--sink", "none")
    typed("replay", "--store", "st", "--refused")
    typed("replay", "--store", "st", code=1)
    typed("replay", "c.svs", "--store", "st", code=1)
    recorded.put(relay, "drain", 3)
    typed("replay", "s2", "--store", "st", code=1)
    hold("replay", recorded, tmp_path)


def test_the_page_is_served_as_asked(recorded, typed, tmp_path, monkeypatch):
    (tmp_path / "st").mkdir()
    recorded.put(serve, "set_up_logs")
    recorded.put(serve, "serve_page")
    recorded.put(serve, "load_config", Named("settings", monitoring="<monitoring>"))
    typed("serve", "--store", "st")
    words = "--host", "10.0.0.1", "--port", 99, "--config", "c.toml", "--sink", "none"
    more = "--model", "red", "--nearest", "n.npz", "--scans", "a", "--scans", "b", "--open"
    typed("serve", "--store", "st", *words, *more, "--cert", "c.pem", "--key", "k.pem")
    approved(__file__, "serve", "\n".join(recorded.lines), model=serve.SHIPPED)


def test_an_account_is_made_and_ended(recorded, typed, tmp_path, monkeypatch):
    (tmp_path / "st").mkdir()
    accounts = Named("accounts")
    for name, answer in (("set", "added"), ("remove", None), ("close", None)):
        setattr(accounts, name, recorded.function(f"accounts.{name}", answer))
    accounts.people = lambda: [SimpleNamespace(name="ada", role="admin")]
    person = SimpleNamespace(name="eve", issuer="https://id", subject="u-1")
    accounts.provided = SimpleNamespace(everyone=lambda: [person])
    monkeypatch.setattr("stream.review.web.Accounts", recorded.function("Accounts", accounts))
    monkeypatch.setattr("stream.review.web.local_name", lambda: "me")
    monkeypatch.setattr("stream.review.custody_folder", lambda folder: "custody")
    trail = Named("trail", note=recorded.function("note"))
    recorded.context(importlib.import_module("stream.review"), "Trail", trail)
    recorded.put(serve.typer, "prompt", "a horse of ada")
    typed("accounts", "add", "ada", "--store", "st")
    accounts.set = recorded.function("accounts.set", "changed")
    typed("accounts", "add", "ada", "--role", "admin", "--store", "st")
    typed("accounts", "list", "--store", "st")
    typed("accounts", "remove", "ada", "--store", "st")
    hold("accounts", recorded, tmp_path)


class App(Named):
    def __init__(self, recorded, mode="local"):
        end = recorded.function("streams end")
        parts = SimpleNamespace(hub=SimpleNamespace(close=end))
        doors = SimpleNamespace(mode=mode, local_secret="secret")
        super().__init__("app", state=SimpleNamespace(parts=parts, doors=doors))


@pytest.mark.parametrize("socket", [None, "run/s.sock"])
def test_the_page_is_opened_observed_and_listened_for(
    recorded, tmp_path, monkeypatch, capsys, socket
):
    app = App(recorded)
    recorded.put(review_page, "has_state", True)
    recorded.context(review_page, "_opened", app)
    observer = Named("observer", ready=recorded.function("observer.ready"))
    recorded.context(review_page, "observing", observer)
    recorded.put(review_page, "listen")
    monkeypatch.setattr("stream.http.group_of", lambda path: "lab")
    recorded.context(importlib.import_module("stream.http"), "open_socket", Named("socket"))
    review = Config().review.model_copy(update={"proxy_socket": socket or ""})
    settings = Named("settings", review=review)
    review_page.serve_page(Page(tmp_path / "st"), settings)
    recorded.lines += capsys.readouterr().err.splitlines()
    name = "serve_socket" if socket else "serve_address"
    approved(__file__, name, "\n".join(recorded.lines), folder=tmp_path, model=serve.SHIPPED)


def test_what_a_page_opens(recorded, tmp_path, monkeypatch, capsys):
    """All that the application is made of, for each of the ways to sign in."""
    store = tmp_path / "st"
    store.mkdir()
    trail = Named("trail", outbox=Named("reviews", store_id="x"))
    library = Named("library", trail=trail, outbox=Named("outbox"))
    accounts = Named("accounts", close=recorded.function("accounts.close"))
    modules = {
        "stream.review": ("SlideLibrary", library),
        "stream.sinks": ("Relay", Named("relay")),
    }
    for module, (name, value) in modules.items():
        recorded.context(importlib.import_module(module), name, value)
    recorded.monkeypatch.setattr("stream.sinks.open_sink", recorded.function("open_sink", "sink"))
    for name, answer in (
        ("stream.review.custody_folder", "custody"),
        ("stream.review.web.Accounts", accounts),
        ("stream.review.web.make_app", "the app"),
        ("stream.review.web.leaflet_folder", None),
        ("stream.review.signed_heads.head_sinks", ["heads"]),
        ("stream.oauth.OpenIdProvider", "provider"),
        ("stream.intake.intake_router", "router"),
        ("stream.store.Backlog", "backlog"),
    ):
        recorded.monkeypatch.setattr(name, recorded.function(name.rpartition(".")[2], answer))
    recorded.put(review_page, "read_proxy_secret", "proxy secret")
    recorded.context(review_page, "open_workers", "workers")
    recorded.put(review_page, "hold")
    settings = Config()
    own = {"review": settings.review, "watch": settings.watch}
    shown = Named("settings", audit="audit", backlog="b", **own)
    for mode, page, can_write in (
        ("local", Page(store, sinks=("none", "jsonl:a")), True),
        ("proxy", Page(store, scans=[tmp_path / "scans"], nearest=Path("n.npz")), True),
        ("oidc", Page(store, cert=Path("c.pem"), model=Path("red")), True),
        ("accounts", Page(store, host="10.0.0.1"), False),
        ("accounts", Page(store, host="10.0.0.1", cert=Path("c.pem")), False),
        ("accounts", Page(store), False),
    ):
        recorded.lines.append(f"--- {mode}")
        recorded.put(review_page, "mode_of", mode)
        recorded.put(review_page, "can_write", can_write)
        relays = []
        with review_page._opened(page, shown, relays) as app:
            recorded.lines.append(f"{app}, relays {relays}")
        recorded.lines += capsys.readouterr().err.splitlines()
        (store / "known.npz").touch()
    names = {"folder": tmp_path, "model": serve.SHIPPED}
    approved(__file__, "page_opens", "\n".join(recorded.lines), **names)


def test_a_page_that_cannot_be_opened(recorded, tmp_path, monkeypatch):
    page = Page(tmp_path / "st", scans=[tmp_path])
    monkeypatch.chdir(tmp_path)
    with ExitStack() as stack, ExitStack() as other:
        review_page.hold(tmp_path / "st", stack)
        for call in (
            lambda: review_page._check_store(Path("none")),
            lambda: review_page.check_read_only(page),
            lambda: review_page.hold(tmp_path / "st", other),
            lambda: review_page.hold(tmp_path / "st" / "serve.lock", other),
        ):
            with pytest.raises(CytostreamError) as refused:
                call()
            recorded.lines.append(f"{refused.value.what}\n  -> {refused.value.hint}")
    served = review_page.served_folders(page, Config())
    recorded.lines.append(str(served))
    no_quarantine = Config(watch={"quarantine": ""})
    recorded.lines.append(str(review_page.served_folders(page, no_quarantine)))
    approved(__file__, "page_refused", "\n".join(recorded.lines), folder=tmp_path)


def test_the_server_of_the_page(recorded, tmp_path, monkeypatch, capsys):
    ends = []

    class Server:
        def __init__(self, config):
            recorded.lines.append(f"server of {config}")

        def run(self, sockets):
            recorded.lines.append(f"runs on {sockets}")
            self.handle_exit(15, None)
            if ends:
                raise ends.pop()

        def handle_exit(self, sig, frame):
            recorded.lines.append(f"exit {sig} {frame}")

    monkeypatch.setattr(uvicorn, "Server", Server)
    config = recorded.function("uvicorn.Config", "config")
    monkeypatch.setattr(uvicorn, "Config", lambda app, **named: config(app, **named))
    monkeypatch.setattr("stream.http.sample_logs", recorded.function("sample_logs"))
    monkeypatch.setattr("stream.http.guarded_protocol", lambda: "protocol")
    end = recorded.function("end_streams")
    app = Named("app")
    page = Page(tmp_path, cert=Path("c.pem"), key=Path("k.pem"), port=99, host="::1")
    page_server.listen(app, page, end, Named("socket"))
    page_server.listen(app, Page(tmp_path), end)
    no_text = OSError("cut")
    for error in (KeyboardInterrupt(), SystemExit(0), SystemExit(None)):
        ends.append(error)
        page_server.listen(app, Page(tmp_path), end)
    for error in (OSError(98, "in use"), no_text, SystemExit(3)):
        ends.append(error)
        with pytest.raises(CytostreamError) as refused:
            page_server.listen(app, page, end)
        recorded.lines.append(f"{refused.value.what}\n  -> {refused.value.hint}")
    for one in (page, Page(tmp_path, host="lab")):
        for path in ("", "open?secret=x"):
            page_server.say_where(one, path)
    doors = SimpleNamespace(mode="local", local_secret="x")
    assert page_server.path_of(doors) == "open?secret=x"
    doors.mode = "accounts"
    assert page_server.path_of(doors) == ""
    recorded.lines += capsys.readouterr().err.splitlines()
    approved(__file__, "page_server", "\n".join(recorded.lines), folder=tmp_path)


def test_orders_come_in_and_results_go_out(station, recorded, typed, tmp_path, monkeypatch):
    (tmp_path / "st").mkdir()
    trail = Named("trail", outbox=Named("reviews"))
    for name, value in (
        ("stream.store.Outbox", Named("outbox")),
        ("stream.review.SlideLibrary", Named("library", trail=trail)),
        ("stream.lis.open_listener", None),
    ):
        module, _, last = name.rpartition(".")
        recorded.context(importlib.import_module(module), last, value)
    made = Named("reports", as_message="message", as_bundle="bundle", as_dicom="dicom")
    for name in ("FhirSink", "MllpSink", "StowSink"):
        sink = recorded.function(name, lambda *_, name=name: Named(name))
        monkeypatch.setattr(f"stream.lis.{name}", sink)
    reports = recorded.function("ResultReports", made)
    monkeypatch.setattr("stream.lis.ResultReports", reports)
    monkeypatch.setattr("stream.review.custody_folder", lambda folder: "custody")

    class Relay(Named):
        def __init__(self, source, sink):
            super().__init__(f"relay of {source.name} to {sink.name}")

        def __enter__(self):
            recorded.lines.append(f"{self.name} starts")
            return self

        def __exit__(self, *_):
            recorded.lines.append(f"{self.name} ends")

    monkeypatch.setattr(lis, "Relay", Relay)
    asked = {"listen": "127.0.0.1:1", "results_to": "h:2", "fhir_to": "http://h", "stow_to": "x"}
    none = dict.fromkeys(asked, "")

    def settings(**own):
        named = Named("lis", **{**none, "preliminary": False, "answer_s": 7.0, **own})
        plain = Config()
        more = {"monitoring": "<monitoring>", "backlog": plain.backlog, "review": plain.review}
        recorded.put(lis, "load_config", Named("settings", lis=named, **more))

    settings()
    typed("lis", "--store", "st", code=1)
    station.stopped.wait = recorded.function("stop.wait")
    settings(**asked)
    typed("lis", "--store", "st", "--once")
    settings(**{**asked, "preliminary": True, "listen": ""})
    typed("lis", "--store", "st")
    for name, value in asked.items():
        settings(**{name: value})
        station.stopped.wait = interrupt
        typed("lis", "--store", "st")
    hold("lis", recorded, tmp_path)


def interrupt():
    raise KeyboardInterrupt


def test_relays_are_waited_for(recorded, tmp_path, capsys):
    class Relay:
        def __init__(self, *left, trouble=None):
            self.left, self.moved, self.trouble = list(left), 0, trouble

        def drain(self, give_up_s):
            recorded.lines.append(f"drain {give_up_s}, {self.left}")
            self.moved += len(self.left) > 2
            return self.left.pop(0)

    assert session.drain([], 3.0) == 0
    assert session.drain([Relay(0), Relay(9, 8, 8, 8), Relay(5, 5, 5, trouble="away")], 3.0) == 13
    recorded.lines += capsys.readouterr().err.splitlines()
    approved(__file__, "drain", "\n".join(recorded.lines))

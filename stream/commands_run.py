"""Commands of the main path: run slides, follow the topics, show the schemas and the configuration."""

import fcntl
import json
import signal
from collections import Counter
from contextlib import ExitStack
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from classify import SHIPPED, ModelError, load_model, open_engine
from ingest import CytostreamError, open_workers
from segment import CROP_PX, CROP_UM

from .codec import to_line
from .config import Config, ConfigError, load_config
from .events import TOPICS, Event, Stamp
from .outbox import Outbox
from .payloads import write_schemas
from .pipeline import Lab, Report, run_slide
from .relay import Relay
from .screen import Screen, print_error, report_table, say
from .sinks import Sink

screen = Console(stderr=True)
ConfigOption = Annotated[Path | None, typer.Option("--config", help="TOML file; see configs/example.toml.")]
INTERRUPTED = 130
PACKAGES = ("cytostream", "openvino", "openslide-bin", "scikit-image", "numpy")


def run(
    slides: Annotated[list[Path], typer.Argument(help="Slides or fields of view.")],
    store: Annotated[Path, typer.Option(help="Folder of results and of the outbox.")] = Path("cytostream-results"),
    sink: Annotated[list[str] | None, typer.Option(help="kafka, or jsonl:PATH; may be repeated. Default kafka.")] = None,
    config: ConfigOption = None,
    mpp: Annotated[float | None, typer.Option(help="um per level-0 px, where the file does not say.")] = None,
    workers: Annotated[int | None, typer.Option(min=0, help="Worker processes; 0 is this process.")] = None,
    scheduler: Annotated[str | None, typer.Option(help="An existing Dask cluster: tcp://host:8786.")] = None,
    tile_px: Annotated[int | None, typer.Option(min=256, max=8192, help="Side of a tile, in px as read.")] = None,
    model: Annotated[Path, typer.Option(help="Model folder; the shipped one by default.")] = SHIPPED,
    engine: Annotated[str, typer.Option(help="auto, openvino, tensorrt or tensorrt-rtx.")] = "auto",
    json_report: Annotated[bool, typer.Option("--json", help="Write one JSON line a slide to stdout at the end.")] = False,
) -> None:
    """Find and classify every cell of slides, and stream labels and alerts. The same command goes on after a stop.

    [bold]Examples[/]

    cytostream run smear.svs --sink kafka

    cytostream run field.png --mpp 0.1 --sink jsonl:events.jsonl --store results
    """
    changes = {"workers": workers, "scheduler": scheduler, "tile_px": tile_px}
    settings = changed(load_config(config), {k: v for k, v in changes.items() if v is not None})
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        with ExitStack() as stack:
            outbox = open_outbox(store, stack)
            relays = [stack.enter_context(Relay(outbox, open_sink(spec, settings, outbox))) for spec in sink or ["kafka"]]
            reports = run_all(slides, settings, outbox, store, (model, engine), mpp, json_report)
            unsent = drain(relays, settings.kafka.give_up_s)
    except KeyboardInterrupt:
        screen.print(f"stopped; what was found is in {store}, and the same command goes on there")
        raise typer.Exit(INTERRUPTED) from None
    screen.print(report_table(reports))
    if json_report:
        for report in reports:
            typer.echo(json.dumps(report_line(report)))
    for failed in (r.failure for r in reports if r.failure):
        print_error(failed.what, failed.hint, "failed")
    if unsent or any(r.failure for r in reports):
        raise typer.Exit(1)


def open_outbox(store: Path, stack: ExitStack) -> Outbox:
    try:
        store.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise CytostreamError(f"{store}: cannot be made: {error.strerror}", "choose another --store") from error
    hold(store, stack)
    return stack.enter_context(Outbox(store / "state.db"))


def hold(store: Path, stack: ExitStack) -> None:
    """One run a store, until it ends.

    Raises:
        CytostreamError: another run has it.
    """
    lock = stack.enter_context((store / "lock").open("w"))
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        raise CytostreamError(f"{store}: another run is using it", "wait for it, or choose another --store") from error


def open_sink(spec: str, settings: Config, outbox: Outbox) -> Sink:
    """The sink of a --sink word.

    Raises:
        ConfigError: it is none.
    """
    if spec == "kafka":
        from .sink_kafka import KafkaSink

        return KafkaSink(settings.kafka, outbox.store_id)
    if spec.startswith("jsonl:") and spec != "jsonl:":
        from .sink_jsonl import JsonlSink

        return JsonlSink(Path(spec.removeprefix("jsonl:")))
    raise ConfigError(f"no sink {spec!r}", "kafka, or jsonl:PATH")


def run_all(
    slides: list[Path], settings: Config, outbox: Outbox, store: Path, chosen: tuple[Path, str], mpp: float | None, quiet: bool
) -> list[Report]:
    model = load_model(chosen[0])
    if (model.card.crop_um, model.card.crop_px) != (CROP_UM, CROP_PX):
        raise ModelError(f"{chosen[0]}: made for other crops than {CROP_UM:g} um in {CROP_PX} px", "train it on such crops")
    engine = open_engine(model, chosen[1], tell=say)
    reading = settings.reading
    with screen.status("starting workers"), ExitStack() as starting:
        pool = starting.enter_context(open_workers(reading.workers, reading.scheduler))
        closing = starting.pop_all()
    with closing, Screen(screen, quiet) as bars:
        lab = Lab(settings, model, engine, pool, outbox, store, stamp_of(settings, model.model_id), bars.show)
        return [run_slide(lab, path, mpp) for path in slides]


def drain(relays: list[Relay], give_up_s: float) -> int:
    """Wait for the sinks to have everything; says what is left."""
    left = 0
    for relay in relays:
        with screen.status("sending the last events"):
            unsent, moved = relay.drain(give_up_s), -1
            while unsent and relay.moved > moved:  # slow is not absent
                moved = relay.moved
                unsent = relay.drain(give_up_s)
        if unsent:
            why = f": {relay.trouble}" if relay.trouble else ""
            screen.print(f"[yellow]{unsent} events wait in the store{why}[/]\n  -> the same command sends them", soft_wrap=True)
        left += unsent
    return left


def changed(settings: Config, reading: dict) -> Config:
    return settings.model_copy(update={"reading": settings.reading.model_copy(update=reading)})


def stamp_of(settings: Config, model_id: str) -> Stamp:
    """The provenance that every event and result carries; its config hash is of what changes results."""
    deciding = json.dumps([settings.alerts.model_dump(mode="json"), settings.reading.tile_px], sort_keys=True)
    digest = blake2b(deciding.encode(), digest_size=6).hexdigest()
    return Stamp(settings.source, model_id, digest, {name: version(name) for name in PACKAGES}, settings.share_names)


def report_line(report: Report) -> dict:
    slide = {"slide_id": report.slide.slide_id, "path": str(report.slide.path)} if report.slide else {}
    failure = {"failure": report.failure.what} if report.failure else {}
    return {**slide, "status": report.status, "counts": dict(report.counts), **report.progress.model_dump(), **failure}


def tail(
    topics: Annotated[list[str] | None, typer.Argument(help="cells, alerts, slides, failures; all by default.")] = None,
    config: ConfigOption = None,
    from_beginning: Annotated[bool, typer.Option(help="Also what is there already.")] = False,
    json_out: Annotated[bool, typer.Option("--json", help="One JSON line an event, to stdout.")] = False,
) -> None:
    """Follow the topics in the terminal, until Ctrl-C.

    Example: cytostream tail alerts --from-beginning
    """
    from .tail import follow

    kinds = tuple(topics or TOPICS)
    if unknown := set(kinds) - set(TOPICS):
        raise ConfigError(f"no topic {', '.join(unknown)}", f"of {', '.join(TOPICS)}")
    for event in follow(load_config(config).kafka, kinds, from_beginning):
        if json_out:
            typer.echo(to_line(event))
        else:
            screen.print(sentence(event), highlight=False)


def sentence(event: Event) -> str:
    """An event in one line for a person."""
    data = event.data
    clock = f"[dim]{event.time:%H:%M:%S}[/] {event.subject[:8]}"
    if event.kind == "cells":
        return f"{clock} cell    {data['label']:<12} p {data['scores'][data['label']]:.2f}  at {data['x_px0']},{data['y_px0']}"
    if event.kind == "alerts":
        return f"{clock} [bold red]ALERT[/]   {data['label']:<12} at {data['x_px0']},{data['y_px0']}: {data['reason']}"
    if event.kind == "slides":
        counts = "  ".join(f"{k} {v}" for k, v in Counter(data["counts"] or {}).most_common())
        return f"{clock} [bold]slide[/]   {data['status']}  {data['progress']['cells']} cells  {counts}"
    return f"{clock} [yellow]failure[/] {data['stage']}: {data['what']} -> {data['hint']}"


def schemas(out: Annotated[Path, typer.Option(help="Folder to write to.")] = Path("schemas")) -> None:
    """Write the JSON Schema of every event type."""
    for path in write_schemas(out):
        typer.echo(path)


def config(path: Annotated[Path | None, typer.Argument(help="File to check; the defaults without one.")] = None) -> None:
    """Check a configuration file, and show what it resolves to."""
    typer.echo(load_config(path).model_dump_json(indent=1, exclude={"kafka": {"security"}}))

"""`cytostream lis`: orders in, results out."""

from contextlib import ExitStack
from pathlib import Path
from typing import Annotated

import typer

from ingest import CytostreamError
from stream.cli.console import screen
from stream.cli.json_logs import set_up_logs
from stream.cli.observing import observing
from stream.cli.options import RESULTS, ConfigOption, StoreOption
from stream.cli.session import drain
from stream.config import Config, load_config
from stream.run import GracefulStop
from stream.sinks import Relay


def lis(
    store: StoreOption = RESULTS,
    config: ConfigOption = None,
    once: Annotated[bool, typer.Option(help="Send what waits, then end.")] = False,
) -> None:
    """Take orders from the laboratory's system, and send it results: HL7 v2.5.1 over MLLP, at the
    addresses of [lis] in the configuration. Ctrl-C ends it; what waits is sent by the next one.

    Orders (OML^O33, ORM^O01) go into the worklist; a signature sends its result (OUL^R22 or
    ORU^R01, and FHIR R4), an amendment a corrected one; of a DICOM slide also its annotations
    (STOW-RS).

    Example: cytostream lis --store results --config lab.toml
    """
    settings = load_config(config)
    set_up_logs(settings.monitoring)
    own = settings.lis
    if not (own.listen or own.results_to or own.fhir_to or own.stow_to):
        hint = "set lis.listen, lis.results_to, lis.fhir_to or lis.stow_to"
        raise CytostreamError("[lis] names no address", hint)
    serve_lis(store, settings, once)


def serve_lis(store: Path, settings: Config, once: bool) -> None:
    """Takes orders and sends results until it is stopped; `once`: until what waits is sent.

    Raises:
        CytostreamError: the store or an address cannot be used.
    """
    from stream.lis import FhirSink, MllpSink, ResultReports, StowSink, open_listener
    from stream.review import SlideLibrary, custody_folder
    from stream.store import Outbox

    with GracefulStop(settings.backlog.drain_s) as ending, ExitStack() as stack:
        outbox = stack.enter_context(Outbox(store / "state.db"))
        custody = custody_folder(settings.review.audit_folder)
        library = stack.enter_context(SlideLibrary(store, settings, custody))
        results = ResultReports(library, settings.lis)
        relays: dict[str, list[Relay]] = {"reviews": [], "results": []}
        sources = {"reviews": (library.trail.outbox, "results")}
        if settings.lis.preliminary:
            sources["results"] = (outbox, "preliminary")
        for name, (source, what) in sources.items():
            if settings.lis.results_to:
                mllp = MllpSink(settings.lis, results.as_message, what)
                relays[name].append(Relay(source, mllp))
            if settings.lis.fhir_to:
                relays[name].append(Relay(source, FhirSink(settings.lis, results.as_bundle, what)))
        if settings.lis.stow_to:
            source, what = sources["reviews"]
            relays["reviews"].append(Relay(source, StowSink(settings.lis, results.as_dicom, what)))
        started = [stack.enter_context(relay) for own in relays.values() for relay in own]
        observer = stack.enter_context(observing(store, settings, relays))
        if settings.lis.listen:
            stack.enter_context(open_listener(settings.lis, outbox))
            screen.print(f"orders are taken on {settings.lis.listen}")
        observer.ready()
        try:
            if not once:
                ending.stop.wait()
        except KeyboardInterrupt:
            screen.print("stopped; the same command goes on")
        drain(started, settings.lis.answer_s)

"""What a command that works on slides opens: the store, the sinks with their relays, the
model, the workers.
"""

import json
from collections.abc import Collection, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from hashlib import blake2b
from importlib.metadata import version
from pathlib import Path

import numpy as np

from classify import (
    MODELS_FOLDER,
    SHORT_NAMES,
    Engine,
    Model,
    ModelError,
    ModelLibrary,
    load_model,
    model_folder,
    open_engine,
)
from classify.teaching import TAUGHT_FOLDER, TaughtJudge, TaughtLibrary
from ingest import CytostreamError, Scheduler, Workers, open_workers
from segment import CROP_PX, CROP_UM
from stream.alerts import RareClass, SlideTests, check_rules, rare_classes
from stream.config import Config, Reading
from stream.events import Provenance
from stream.run import EngineOpener, RedJudge, RunContext, ShadowJudge, ShadowModel
from stream.sinks import Relay, open_sink
from stream.store import (
    Backlog,
    DiskLimits,
    Outbox,
    has_state,
    make_private_folder,
    use_bucket,
    use_server,
)

from .console import print_error, say, screen
from .models import ModelParts, RunModels
from .options import KAFKA, RED_MODEL, ModelChoice, RunOptions
from .progress_table import ProgressTable

PACKAGES = ("cytostream", "openvino", "openslide-bin", "scikit-image", "numpy")


@dataclass(frozen=True, slots=True)
class Session:
    """An open store with its sinks."""

    config: Config
    store: Path
    outbox: Outbox
    backlog: Backlog
    relays: list[Relay]


@contextmanager
def open_station(
    store: Path, config: Config, sinks: Sequence[str] | None = None
) -> Iterator[Session]:
    """Opens the store and starts its relays, to Kafka where no sinks are named; several processes
    may have it open.

    Raises:
        CytostreamError: the store cannot be opened, or a sink is none.
    """
    with ExitStack() as stack:
        outbox = stack.enter_context(open_outbox(store, config))
        specs = KAFKA if sinks is None else sinks
        opened = [open_sink(spec, config, outbox.store_id) for spec in specs if spec != "none"]
        batch = config.kafka.batch_events
        relays = [stack.enter_context(Relay(outbox, sink, batch)) for sink in opened]
        outbox.prune(config.store.keep_days, [sink.name for sink in opened])
        yield Session(config, store, outbox, Backlog(outbox, config.backlog), relays)


def require_store(store: Path) -> None:
    """Raises CytostreamError where there is no store."""
    if not has_state(store):
        raise CytostreamError(
            f"{store}: no results here", "run `cytostream run SLIDE --store DIR` first"
        )


def open_outbox(store: Path, config: Config) -> Outbox:
    try:
        make_private_folder(store)
        if config.store.state:
            use_server(store, config.store.state)
        if config.store.results:
            use_bucket(store, config.store.results)
    except OSError as error:
        raise CytostreamError(
            f"{store}: cannot be made: {error.strerror}", "choose another --store"
        ) from error
    room = DiskLimits(config.store.free_gb * 1e9, config.store.waiting_gb * 1e9)
    return Outbox(store / "state.db", room, config.backlog.lease_s)


@contextmanager
def open_lab(
    station: Session, choice: RunOptions, only: Collection[str] | None = None, quiet: bool = False
) -> Iterator[RunContext]:
    """Loads the model and starts the workers; progress is shown meanwhile."""
    config = station.config
    models = models_of(station, choice)
    folder = models.folder
    model = checked_for_slides(folder)
    taught = checked_taught(station, model)
    tests = slide_tests(station, model, taught)
    with (
        screen.status("starting workers"),
        ThreadPoolExecutor(1) as beside,
        ExitStack() as starting,
    ):
        opening = beside.submit(open_warm_engine, model, choice.engine)
        pool = starting.enter_context(open_pool(config.reading))
        engine = opening.result()
        red = open_red_judge(choice, station.store) if config.red_cells.judged else None
        closing = starting.pop_all()
    with closing, ProgressTable(screen, station.backlog, only, quiet) as board:
        stamp = provenance_of(config, model.model_id, station.outbox.secret)
        yield RunContext(
            config,
            model,
            engine,
            pool,
            station.outbox,
            station.store,
            stamp,
            board.show,
            red=red,
            again=choice.again,
            taught=taught,
            tests=tests,
            open_judge=judge_there(config, folder, model, engine),
            shadow=open_shadow(station, choice),
            renewed=models.renewed,
            was_in_use=models.was_in_use,
            with_model=models.with_model,
        )


def models_of(station: Session, choice: RunOptions) -> RunModels:
    """The models that the slides of a run are read with."""

    def open_parts(folder: Path) -> ModelParts:
        model = checked_for_slides(folder)
        taught = checked_taught(station, model)
        engine = open_warm_engine(model, choice.engine)
        return ModelParts(
            model,
            engine,
            provenance_of(station.config, model.model_id, station.outbox.secret),
            taught,
            slide_tests(station, model, taught),
            judge_there(station.config, folder, model, engine),
        )

    def on_fault(error: CytostreamError) -> None:
        print_error(error.what, error.hint, "not used")

    return RunModels(models_in(station.store), open_parts, on_fault, choice.model)


def models_in(store: Path) -> ModelLibrary:
    """The imported models of a store."""
    return ModelLibrary(store / MODELS_FOLDER)


def checked_for_slides(folder: Path) -> Model:
    """A model for the crops that the finder cuts out.

    Raises:
        ModelError: it is made for others, or cannot be read.
    """
    model = load_model(folder)
    if (model.card.crop_um, model.card.crop_px) != (CROP_UM, CROP_PX):
        raise ModelError(
            f"{folder}: made for other crops than {CROP_UM:g} um in {CROP_PX} px",
            "train it on such crops",
        )
    return model


def checked_taught(station: Session, model: Model) -> TaughtJudge:
    """The taught classes beside a model's own, which have all that the alert rules name.

    Raises:
        ModelError, ConfigError: one was taught on another model, or a rule names none of them.
    """
    taught = taught_in(station.store, model)
    own = [one.name for one in taught.classes]
    check_rules(station.config.alerts, (*model.card.classes, *own))
    return taught


def open_shadow(station: Session, choice: RunOptions) -> ShadowJudge | None:
    """The second model that the command or the configuration names. One that is not there is said,
    and the run goes on without.
    """
    name = choice.shadow or station.config.shadow
    if not name:
        return None

    def on_fault(what: str) -> None:
        print_error(what, "slides go on without it; `cytostream shadow --judge`", "shadow model")

    return ShadowJudge(lambda: shadow_model(station, name, choice.engine), on_fault)


def shadow_model(station: Session, name: str, engine: str) -> ShadowModel:
    """A second model by its name or folder.

    Raises:
        ModelError, EngineError: it cannot be read or run.
    """
    library = models_in(station.store)
    folder = library.find(name)
    model = checked_for_slides(folder)
    tests = slide_tests(station, model, TaughtJudge(()))
    known = name in (*SHORT_NAMES, *library.names())
    return ShadowModel(
        name if known else folder.name, model, open_warm_engine(model, engine), tests
    )


def judge_there(config: Config, folder: Path, model: Model, engine: Engine) -> EngineOpener | None:
    """What opens the same engine on workers, where they judge."""
    if config.reading.judge == "here":
        return None
    return EngineOpener(folder, model.model_id, engine.name, engine.precision)


def taught_in(store: Path, model: Model) -> TaughtJudge:
    """The taught classes that are in use in a store.

    Raises:
        ModelError: one was taught on the features of another model.
    """
    return TaughtJudge(TaughtLibrary(store / TAUGHT_FOLDER).in_use(model))


def rare_classes_in(
    store: Path, config: Config, model: Model, taught: TaughtJudge
) -> tuple[RareClass, ...]:
    """The tests of rare classes, with the background that people have signed for in this store."""
    from stream.review import custody_folder, signed_slides

    custody = custody_folder(config.review.audit_folder)
    signed = signed_slides(store, model.model_id, custody, taught.taught_ids)
    return rare_classes(config.alerts, model.card.classes, taught.classes, signed)


def slide_tests(station: Session, model: Model, taught: TaughtJudge) -> SlideTests:
    """The tests of the slides of a run."""
    config = station.config
    rare = rare_classes_in(station.store, config, model, taught)
    parents = {name: model.card.parent_of(name) for name in model.card.classes}
    return SlideTests(rare, config.review.ranges, parents)


def open_model(choice: ModelChoice, precision: str | None = None) -> tuple[Model, Engine]:
    """A model and the engine that runs it.

    Raises:
        ModelError, EngineError: they cannot be read or run.
    """
    model = load_model(choice.model)
    return model, open_engine(model, choice.engine, precision, say)


def open_warm_engine(model: Model, name: str) -> Engine:
    """The engine after its first pass, which is slow: it compiles.

    Raises:
        EngineError: it cannot be run.
    """
    engine = open_engine(model, name, tell=say)
    engine.errors(np.zeros_like(model.noise[:1]), model.noise[:1], model.sigma[:1])
    return engine


def open_red_judge(choice: RunOptions, store: Path) -> RedJudge | None:
    """The red-cell model; None where it is the shipped one and none is shipped.

    Raises:
        ModelError, EngineError: it cannot be read or run.
    """
    library = models_in(store)
    stated = choice.red_model
    folder = library.folder_in_use("red") if stated is None else model_folder(stated)
    if folder == model_folder(RED_MODEL) and not folder.is_dir():
        return None
    folder = library.find(folder)
    model = load_model(folder)
    return RedJudge(model, open_engine(model, choice.engine))


def open_pool(reading: Reading) -> AbstractContextManager[Workers]:
    """The workers that the configuration asks for: own processes, or a cluster of others."""
    scheduler = reading.scheduler and Scheduler(
        reading.scheduler,
        authority=reading.scheduler_ca,
        certificate=reading.scheduler_certificate,
        key=reading.scheduler_key,
        insecure=reading.insecure_scheduler,
        mounts=tuple(reading.mounts.items()),
    )
    return open_workers(reading.workers, scheduler or None, reading.workers_most, reading.dashboard)


def provenance_of(config: Config, model_id: str, secret: str = "") -> Provenance:
    """The provenance that every event and result carries; its config hash is of what changes
    results.
    """
    area = [config.reading.area] * (
        config.reading.area != "all"
    )  # so that a store from before there were areas goes on
    deciding = json.dumps(
        [config.alerts.model_dump(mode="json"), config.reading.tile_px, *area], sort_keys=True
    )
    digest = blake2b(deciding.encode(), digest_size=6).hexdigest()
    return Provenance(
        config.source,
        model_id,
        digest,
        {name: version(name) for name in PACKAGES},
        config.share_names,
        config.identity.in_events,
        secret=secret,
    )


def drain(relays: list[Relay], give_up_s: float) -> int:
    """Wait for the sinks to have everything; says what is left."""
    left = 0
    for relay in relays:
        with screen.status("sending the last events"):
            unsent = relay.drain(give_up_s)
            moved = -1
            while unsent and relay.moved > moved:  # slow is not absent
                moved = relay.moved
                unsent = relay.drain(give_up_s)
        if unsent:
            why = f": {relay.trouble}" if relay.trouble else ""
            screen.print(
                f"{unsent} events wait in the store{why}\n  -> the same command sends them",
            )
        left += unsent
    return left

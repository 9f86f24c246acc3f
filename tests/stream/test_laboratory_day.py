"""A day in the laboratory: an order comes by HL7, its slide by barcode, an alert arrives on Kafka,
a person signs, the result leaves by HL7 and FHIR, and a backup gives the same report again.

With Chromium the person signs in it (tests/browser), and here nothing is done a second time.
"""

import socket
from contextlib import closing, contextmanager

import hl7
import pytest
import tifffile
from fhir.resources.R4B.bundle import Bundle
from hl7.client import MLLPClient
from typer.testing import CliRunner

from ingest import open_workers
from stream.cli.app import app
from stream.config import Config, Kafka, LisSettings, load_config
from stream.events import ALERT, SLIDE, SLIDE_ALERT, Provenance
from stream.kafka.consumer import read_all
from stream.kafka.embedded_broker import Broker
from stream.kafka.sink import KafkaSink
from stream.keeping import back_up, restore
from stream.lis import open_listener
from stream.review import SlideLibrary, WorklistView, check_store
from stream.review.decisions import DecisionService
from stream.review.images import Crops
from stream.review.report import FORMS, report_of
from stream.run.context import RunContext
from stream.run.pipeline import run_slide
from stream.sinks.relay import Relay
from stream.store import Outbox
from tests.apache_kafka import ApacheBroker, why_no_kafka
from tests.browser.conftest import CHROMIUM
from tests.ingest.test_specimen_codes import write_svs
from tests.make import BrightnessEngine, smear, tiny_model
from tests.stores import STAMP
from tests.stream.lis.lis_server import LaboratorySystem
from tests.stream.lis.test_orders import OML


def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def ordered(store, message):
    """Sends an order; gives the code of the answer."""
    port = free_port()
    with (
        Outbox(store / "state.db") as outbox,
        open_listener(LisSettings(listen=f"127.0.0.1:{port}"), outbox),
        MLLPClient("127.0.0.1", port) as client,
    ):
        answer = hl7.parse(client.send_message(message).decode().strip("\x0b\x1c\r"))
    return str(answer.segment("MSA")[1])


def scanned(tmp_path):
    """A slide whose label carries the code of the ordered container."""
    smear(tmp_path / "smear.tiff", side_px=600, whites=3, seed=3)
    pixels = tifffile.imread(tmp_path / "smear.tiff")
    return write_svs(tmp_path / "scan-0001.svs", pixels, Barcode="C-77")


@contextmanager
def a_broker():
    """Apache Kafka where its jars are, else the emulator of the broker extra."""
    apache = not why_no_kafka()
    if not apache:
        pytest.importorskip("noida_db", reason="neither Apache Kafka nor the broker extra is here")
    with closing(ApacheBroker() if apache else Broker()) as broker:
        yield broker.start().bootstrap


def sent(store, slide_id, bootstrap):
    """Sends what waits to a broker; gives the alerts that a consumer reads there."""
    kafka = Kafka(bootstrap=bootstrap, linger_ms=0)
    with Outbox(store / "state.db") as outbox:
        with Relay(outbox, KafkaSink(kafka, outbox.store_id)) as relay:
            assert relay.drain(60) == 0
        waiting = [record.event for record in outbox.events(slide_id, types=(ALERT, SLIDE_ALERT))]
    arrived = list(read_all(kafka, ["alerts"]))
    assert arrived == waiting
    return arrived


def run(store, path):
    config = Config(identity={"in_events": "hashed"}, alerts={"anomaly_above": 0.0})
    with Outbox(store / "state.db") as outbox, open_workers(0) as workers:
        stamp = Provenance("test", "model-1", "config-1", {}, share_codes="hashed", secret="s")
        model = tiny_model()
        lab = RunContext(config, model, BrightnessEngine(), workers, outbox, store, stamp)
        slide_id = run_slide(lab, path).slide.slide_id
        ended = [record.event.data for record in outbox.events(slide_id, types=(SLIDE,))][-1]
    assert ended["status"] == "done" and ended["specimen"]["hashed"]
    assert "S26-00117" not in str(ended)
    return slide_id


def sign_at_the_desk(tmp_path, slide_id, config):
    with SlideLibrary(tmp_path / "store", config, tmp_path / "custody") as library:
        desk = DecisionService(library, STAMP)
        shelf = library.shelf(slide_id)
        desk.acknowledge(slide_id, "chen", list(shelf.told.alerts), None)
        desk.sign(slide_id, "chen", "normal", library.trail.last(slide_id))


def reports(store, slide_id, config):
    with SlideLibrary(store, config) as library:
        report = report_of(
            library, library.shelf(slide_id), WorklistView(library).name(slide_id, {})
        )
        crops = Crops(store, library.queries, library.trail.marked)
        return {form: FORMS[form].make(report, crops) for form in ("csv", "fhir.json")}


@pytest.mark.broker
@pytest.mark.skipif(bool(CHROMIUM), reason="tests/browser has the day with Chromium")
def test_a_day(tmp_path):
    the_day(tmp_path, sign_at_the_desk)


def the_day(tmp_path, sign):
    """`sign` is given the folder with the store, the slide and the configuration."""
    store = tmp_path / "store"
    assert ordered(store, OML) == "AA"
    slide_id = run(store, scanned(tmp_path))
    with a_broker() as bootstrap:
        alerts = sent(store, slide_id, bootstrap)
    assert alerts and {event.subject for event in alerts} == {slide_id}
    with LaboratorySystem() as system:
        (tmp_path / "lab.toml").write_text(
            f'[identity]\ndemand = "order"\n[review]\naudit_folder = "{tmp_path}/custody"\n'
            f'look_s = 0.05\n[lis]\nresults_to = "{system.address}"\n'
        )
        config = load_config(tmp_path / "lab.toml")
        sign(tmp_path, slide_id, config)
        words = ["lis", "--once", "--store", store, "--config", tmp_path / "lab.toml"]
        said = CliRunner().invoke(app, list(map(str, words)))
        assert said.exit_code == 0, said.output
        (result,) = system.messages.values()
    assert str(result.segment("OBR")[2]) == "O-1" and str(result.segment("OBR")[25]) == "F"
    assert str(result.segment("PID")[3]) == "P-1070"
    made = reports(store, slide_id, config)
    bundle = Bundle.model_validate_json(made["fhir.json"])
    kinds = {entry.resource.get_resource_type(): entry.resource for entry in bundle.entry}
    assert kinds["Specimen"].accessionIdentifier.value == "S26-00117"
    assert kinds["DiagnosticReport"].status == "final"
    back_up(store, tmp_path / "backup")
    restore(tmp_path / "backup", tmp_path / "again")
    assert reports(tmp_path / "again", slide_id, config) == made
    with SlideLibrary(tmp_path / "again", config, tmp_path / "custody") as library:
        assert check_store(library).signatures == 1

"""The pipeline as a process to kill: the product's own backlog, journal, outbox and relays;
only the net is the tests' fake.
"""

import sys
import time
from pathlib import Path

from ingest import CytostreamError
from stream.cli.console import print_error
from stream.cli.session import drain, open_pool, open_station
from stream.config import Config, load_config
from stream.events.event import Provenance
from stream.run.context import RunContext
from stream.run.worker import GracefulStop, work
from stream.store.backlog import Job
from tests.make import BrightnessEngine, tiny_model


class SlowEngine(BrightnessEngine):
    """As long as a net takes, so that a kill finds the slide half done."""

    def __init__(self, pass_s: float):
        super().__init__()
        self.pass_s = pass_s

    def errors(self, *batch):
        time.sleep(self.pass_s)
        return super().errors(*batch)


def main(store: Path, config: Path, folder: Path, sink: str, pass_s: float) -> int:
    """Works off a folder of slides; 1 where it stopped with an error of one line, or events
    are left.
    """
    try:
        return bool(run(load_config(config), store, folder, sink, pass_s))
    except KeyboardInterrupt:
        return 130
    except CytostreamError as error:
        print_error(error.what, error.hint)
        return 1


def run(settings: Config, store: Path, folder: Path, sink: str, pass_s: float) -> int:
    with (
        GracefulStop(settings.backlog.drain_s) as ending,
        open_station(store, settings, [sink]) as station,
    ):
        station.backlog.add(Job(path) for path in sorted(folder.glob("*.tiff")))
        with open_pool(settings.reading) as pool:
            stamp = Provenance("chaos", "tiny", "tiny", {})
            lab = RunContext(
                settings, tiny_model(), SlowEngine(pass_s), pool, station.outbox, store, stamp
            )
            work(lab, station.backlog, ending.stop)
        return drain(station.relays, settings.kafka.give_up_s)


if __name__ == "__main__":
    sys.exit(main(*map(Path, sys.argv[1:4]), sys.argv[4], float(sys.argv[5])))

"""The processes under fire."""

import multiprocessing
import os
import sys
from collections import Counter
from pathlib import Path

import typer

from ingest import CytostreamError
from stream.cli.commands.relay import relay


class Crew:
    """The processes under fire; a dead one is started again.

    They come from a server that has imported everything already, so that a kill hits the work and
    not the imports.
    """

    def __init__(self, commands: dict[str, tuple], log: Path):
        self.commands, self.log, self.running = commands, log, {}
        self.starts, self.ends = Counter(), Counter()
        self.context = multiprocessing.get_context("forkserver")
        self.context.set_forkserver_preload(
            ["tests.tools.chaos.pipeline", "stream.cli.commands.run", "stream.kafka.sink"]
        )

    def watch(self) -> None:
        for name, (function, *words) in self.commands.items():
            process = self.running.get(name)
            if process is None or not process.is_alive():
                if process is not None:
                    self.ends[f"{name} {process.exitcode}"] += 1
                self.running[name] = self.context.Process(
                    target=logged, args=(self.log, function, *words)
                )
                self.running[name].start()
                self.starts[name] += 1

    def kill(self, name: str) -> bool:
        """kill -9; False where it does not run."""
        process = self.running.get(name)
        if process is None or not process.is_alive():
            return False
        process.kill()
        process.join()
        return True

    def end(self) -> None:
        for process in self.running.values():
            process.terminate()
        for process in self.running.values():
            process.join(30)
            process.kill()


def logged(log: Path, function, *words) -> None:
    """A process of the crew: its words go to the log."""
    with log.open("a") as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    sys.exit(function(*words))


def relay_forever(store: Path, config: Path) -> int:
    return relay_once(store, config, forever=True)


def relay_once(store: Path, config: Path, forever: bool = False) -> int:
    """`cytostream relay`, as the command runs it."""
    try:
        relay(store=store, sink=["kafka"], config=config, forever=forever)
    except (CytostreamError, typer.Exit) as error:
        print(f"relay: {error}", file=sys.stderr)
        return 1
    return 0

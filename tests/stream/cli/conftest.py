"""The command as a person calls it, in this process, with a network that answers at once."""

import os
import sys
from collections.abc import Callable

import numpy as np
import pytest

from classify import SHIPPED, read_card
from stream.cli import main
from stream.cli import session as opening
from tests.make import BrightnessEngine

Run = Callable[..., tuple[int, str]]


class AnyEngine(BrightnessEngine):
    """Takes the shipped model's place where no verdict is looked at."""

    batch = 32

    def __init__(self) -> None:
        self.card = read_card(SHIPPED)
        super().__init__(len(self.card.classes))

    def features(self, images: np.ndarray, noise: np.ndarray, sigma: np.ndarray) -> np.ndarray:
        return np.zeros((len(images), self.card.features), np.float32)


@pytest.fixture
def cytostream(monkeypatch, capsys, tmp_path) -> Run:
    """Runs the command in a folder of its own: its exit status and what it wrote to stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(os, "umask", lambda mask: mask)
    monkeypatch.delenv("CYTOSTREAM_BOOTSTRAP", raising=False)
    monkeypatch.setattr(opening, "open_engine", lambda *_, **__: AnyEngine())
    monkeypatch.setattr(opening, "open_red_judge", lambda *_: None)

    def cytostream(*words: object) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["cytostream", *map(str, words)])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), capsys.readouterr().err

    return cytostream

"""Engines come and go, and a signal after that is still a signal."""

import subprocess
import sys

ENGINES_COME_AND_GO = """
import os, signal
from classify import SHIPPED, load_model
from classify.engines.openvino import OpenVinoEngine

def interrupted(*_):
    print("interrupted", flush=True)

model = load_model(SHIPPED)
first = OpenVinoEngine(model)
second = OpenVinoEngine(model)
del first
del second
signal.signal(signal.SIGTERM, interrupted)
os.kill(os.getpid(), signal.SIGTERM)
"""


def test_a_signal_after_two_engines_have_ended_is_handled():
    done = subprocess.run(
        [sys.executable, "-c", ENGINES_COME_AND_GO], capture_output=True, text=True, timeout=120
    )
    assert (done.returncode, done.stdout) == (0, "interrupted\n"), done.stderr

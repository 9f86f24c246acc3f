"""OpenVINO without its telemetry: with that package at hand, importing it sends to a service of
statistics from a process forked for it, which may wait for ever where other threads run.

Imported before OpenVINO, which takes a missing package for none.
"""

import sys

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment]

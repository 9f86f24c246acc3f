"""Nothing is sent to anybody because OpenVINO is imported."""

import subprocess
import sys

IMPORTED = """
import sys
import classify.engines.openvino
from openvino.tools.ovc import telemetry_utils
print(telemetry_utils.tm.__name__)
print([name for name in sys.modules if name.startswith("openvino_telemetry.")])
"""


def test_openvino_has_no_telemetry():
    done = subprocess.run(
        [sys.executable, "-c", IMPORTED], capture_output=True, text=True, check=True, timeout=120
    )
    assert done.stdout == "openvino.tools.ovc.telemetry_stub\n[]\n"

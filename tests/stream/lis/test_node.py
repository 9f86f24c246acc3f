"""Against the Node packages node-hl7-server and node-hl7-client, where `make lis-node` has
installed them.
"""

import json
import os
import shutil
import socket
import subprocess
from pathlib import Path

import pytest

from stream.config import LisSettings
from stream.lis import MllpSink, open_listener
from stream.lis.hl7_text import escaped
from tests.contracts.sink_contract import records

HERE = Path(__file__).parent / "node"
PACKAGES = Path(__file__).parents[3] / ".node" / "node_modules"
pytestmark = pytest.mark.skipif(
    not (shutil.which("node") and PACKAGES.is_dir()), reason="`make lis-node` was not run"
)


@pytest.fixture
def free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def node(script, port):
    environment = {**os.environ, "NODE_PATH": str(PACKAGES)}
    return subprocess.Popen(
        ["node", HERE / script, str(port)], stdout=subprocess.PIPE, text=True, env=environment
    )


def test_an_order_of_node_hl7_client_is_taken_and_acknowledged(outbox, free_port):
    settings = LisSettings(listen=f"127.0.0.1:{free_port}")
    with open_listener(settings, outbox), node("send_order.cjs", free_port) as client:
        said = json.loads(client.stdout.readline())
    assert said == {"code": "AA", "id": "N1", "type": "ACK"}
    (order,) = outbox.orders()
    assert (order.identity.accession, order.identity.container) == ("S26-1", "C-1")


def test_a_result_is_taken_by_node_hl7_server(free_port):
    def make(record, control_id):
        head = f"MSH|^~\\&|cytostream||LIS||20260102||OUL^R22^OUL_R22|{control_id}|P|2.5.1"
        return (
            f"{head}\rPID|||P-1||{escaped('Ito & Söhne')}\rOBR|1||||||||||||||||||||||||F".encode()
        )

    with node("take_results.cjs", free_port) as server:
        assert server.stdout.readline().strip() == "listening"
        sink = MllpSink(LisSettings(results_to=f"127.0.0.1:{free_port}"), make)
        sink.send(records(1, 1))
        sink.close()
        said = json.loads(server.stdout.readline())
        server.kill()
    assert (said["type"], said["id"], said["name"]) == ("OUL", "s1-e1", "Ito & Söhne")

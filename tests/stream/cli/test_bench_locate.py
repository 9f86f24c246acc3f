"""`cytostream bench locate` on a small smear: every place gives the same cells as the first look's,
and figures are figures.
"""

import json

from typer.testing import CliRunner

from stream.cli.app import app
from stream.cli.commands.bench.locate import agreement
from tests.make import smear


def test_the_figures_of_a_small_smear(tmp_path):
    smear(tmp_path / "s.tiff", side_px=1200, whites=4)
    out = tmp_path / "report.json"
    words = [
        "bench",
        "locate",
        str(tmp_path / "s.tiff"),
        "--workers",
        "0",
        "--runs",
        "1",
        "--json",
        str(out),
    ]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    report = json.loads(out.read_text())
    ours, everywhere, plain = (
        report["ours"],
        report["every place"],
        report["every place at full resolution"],
    )
    assert (
        ours["wbc"] == everywhere["wbc"] >= 4 and report["agreement_f1"]["every place"]["wbc"] == 1
    )
    assert ours["tiles_failed"] == 0 and plain["tiles"] >= ours["tiles"]
    assert ours["s_per_gpx"] * 1.44e-3 - ours["seconds"] < 1e-6 < ours["worker_peak_mb"]
    assert report["times_faster"] == plain["seconds"] / ours["seconds"]


def test_agreement_wants_one_partner_within_3_um():
    ours = [("wbc", 0, 0), ("wbc", 4, 0), ("rbc", 50, 50)]
    assert agreement(ours, ours, 0.5) == {"rbc": 1, "wbc": 1}
    assert agreement(ours, [("wbc", 2, 0)], 0.5) == {"rbc": 0, "wbc": 2 / 3}

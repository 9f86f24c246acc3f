"""A small run of `tests.tools.bench.fuzz`: damaged files end in a result or in an error of the
house.
"""

from ingest import open_workers
from tests.make import smear
from tests.tools.bench.fuzz import fuzzed


def test_damaged_files_are_refused_or_read_as_far_as_they_go(tmp_path):
    smear(tmp_path / "whole.tiff", side_px=700, whites=2)
    with open_workers(0) as pool:
        outcomes = [
            outcome
            for _, outcome, _ in fuzzed(pool, [tmp_path / "whole.tiff"], tmp_path, 24, seed=3)
        ]
    assert set(outcomes) <= {"read", "read in part", "refused"}, outcomes
    assert {"read", "refused"} <= set(outcomes)

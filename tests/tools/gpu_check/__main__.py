"""`make gpu-check`: one command for a machine with an NVIDIA GPU, under 4 minutes, no network."""

import argparse
from pathlib import Path

from tests.tools.gpu_check.check import Plan, check

parser = argparse.ArgumentParser(description=__doc__)
parser.add_argument("--device", type=int, default=0)
parser.add_argument("--out", type=Path, default=Path("gpu-check.json"))
parser.add_argument("--seconds", type=float, default=6.0, help="of each measurement")
parser.add_argument("--rehearse", action="store_true", help="on the CPU and an emulated GPU")
given = parser.parse_args()
plan = Plan(device=given.device, seconds=given.seconds)
if given.rehearse:
    plan = Plan(rehearsal=True, batches=(8,), cells=8, seconds=1.0, judges=2)
check(plan, given.out)

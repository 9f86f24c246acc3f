"""Alert rules and dashboard name only what the program exports."""

import json
import re
from pathlib import Path

import pytest
import yaml

from stream.monitoring import METRIC_NAMES

DEPLOY = Path(__file__).parent.parent.parent / "deploy"
NAME = re.compile(r"\bcytostream_\w+")


def expressions(path):
    if path.suffix == ".json":
        panels = json.loads(path.read_text())["panels"]
        return [target["expr"] for panel in panels for target in panel["targets"]]
    groups = yaml.safe_load(path.read_text())["groups"]
    return [rule["expr"] for group in groups for rule in group["rules"]]


@pytest.mark.parametrize("name", ["prometheus-rules.yml", "grafana-dashboard.json"])
def test_only_exported_names_are_used(name):
    found = [metric for text in expressions(DEPLOY / name) for metric in NAME.findall(text)]
    assert len(found) > 6 and set(found) <= METRIC_NAMES

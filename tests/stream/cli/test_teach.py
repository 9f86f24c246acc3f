"""`cytostream teach` and `classify --taught`, on the generated cells that are shipped."""

import json
from importlib import import_module

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from classify import load_model
from stream.cli.app import app
from stream.cli.commands.demo import read_sheet

teach = import_module("stream.cli.commands.model.teach")


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Cells of one class and cells of others, as FOLDER/pPATIENT-NUMBER.png; six of each class to
    teach, the others to classify. The sheet has the most typical ones first, so both have some.
    """
    root = tmp_path_factory.mktemp("cells")
    card = load_model().card
    px = card.image_px
    pad = (card.crop_px - px) // 2
    sheet = read_sheet(len(card.counted) + 1).reshape(len(card.counted) + 1, -1, px, px, 3)
    for name, cells in zip(card.counted, sheet[:-1], strict=True):
        for number, cell in enumerate(cells):
            part = "teach" if number % 5 < 3 else "new"
            kind = "platelet" if name == "platelet" else "normal"
            crop = np.pad(cell, ((pad, pad), (pad, pad), (0, 0)), mode="edge")
            path = root / part / kind / f"p{number}-{name}.png"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(crop).save(path)
    return root


@pytest.fixture(scope="module")
def taught(folders):
    out = folders / "giant.json"
    teach = folders / "teach"
    given = ["--cells", teach / "platelet", "--normal", teach / "normal", "--out", out]
    answer = run("teach", "--class", "giant-platelet", *given, "--by", "Dr. A")
    assert answer.exit_code == 0, answer.output
    return out


def run(*words):
    return CliRunner().invoke(app, [*map(str, words)])


def lines(path):
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_new_cells_of_a_taught_class_get_its_score(folders, taught):
    verdicts = folders / "verdicts.jsonl"
    features = folders / "features.npy"
    given = ["--taught", taught, "--json", verdicts, "--features", features]
    answer = run("classify", folders / "new", *given)
    assert answer.exit_code == 0, answer.output
    found = lines(verdicts)
    is_of = np.array(["platelet/" in line["path"] for line in found])
    score = np.array([line["scores"]["giant-platelet"] for line in found])
    assert is_of.sum() == 4 and np.median(score[is_of]) > 0.5
    assert np.quantile(score[~is_of], 0.95) < 0.05
    assert all(sum(line["scores"].values()) == pytest.approx(1, abs=1e-4) for line in found)
    assert all(line["label"] in ("giant-platelet", line["standard_label"]) for line in found)
    assert np.load(features).shape == (len(found), load_model().card.features)


def test_without_it_verdicts_are_as_before(folders, taught):
    out = [folders / "before.jsonl", folders / "with.jsonl"]
    assert run("classify", folders / "new", "--json", out[0]).exit_code == 0
    run("classify", folders / "new", "--json", out[1], "--taught", taught)
    before, after = ({line["path"]: line for line in lines(path)} for path in out)
    assert not any("standard_label" in line for line in before.values())
    assert {p: line["label"] for p, line in before.items()} == {
        p: line["standard_label"] for p, line in after.items()
    }


def test_a_store_takes_over_lists_and_disables_it(folders, taught, tmp_path):
    store = tmp_path / "results"
    assert "giant-platelet" in run("teach", store, "--import", taught).output
    assert run("teach", store, "--disable", "giant-platelet").exit_code == 0
    assert "disabled" in run("teach", store).output
    answer = run("classify", folders / "new", "--taught", store / "taught")
    assert "no taught class here" in str(answer.exception)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([], "--class, --cells, --normal and --out are needed"),
        (["--class", "x", "--cells", "{root}/teach/platelet"], "are needed"),
        (["store", "--disable", "y"], "no taught class y"),
    ],
)
def test_what_is_missing_is_said(folders, tmp_path, monkeypatch, words, says):
    monkeypatch.chdir(tmp_path)
    answer = run("teach", *(word.format(root=folders) for word in words))
    assert says in str(answer.exception)


def test_ten_of_the_images_that_are_left_out_are_named(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(teach, "open_engine", lambda *_: None)
    monkeypatch.setattr(teach, "judge", lambda crops, *_: iter([list(crops)][1:]))
    for number in range(12):
        (tmp_path / f"{number:02}.png").write_text("no image")
    assert teach.judged_folder(tmp_path, load_model(), None, "auto") == {}
    named = [line for line in capsys.readouterr().err.splitlines() if "left out" in line]
    assert len(named) == 10 and str(tmp_path / "09.png") in named[-1]

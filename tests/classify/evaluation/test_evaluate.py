"""An evaluation, small: every axis, both arms, a report; a killed one goes on; suites and data that
will not do say so.
"""

import json
import re

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from classify import DataError, ModelError, load_model
from classify.evaluation.suite import Suite, read_suite
from stream.cli.app import app
from tests.make import GLASS, white_cell

torch = pytest.importorskip(
    "torch", reason="the evaluation needs the train extra: pip install -e '.[train]'"
)
pytest.importorskip(
    "matplotlib", reason="the evaluation needs the train extra: pip install -e '.[train]'"
)
pytestmark = [
    pytest.mark.train,
    pytest.mark.timeout(400),
    pytest.mark.filterwarnings(
        "ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning"
    ),
]

from classify.evaluation import retrain as retraining  # noqa: E402
from classify.evaluation.baseline import BaselineTraining, Classifier, parameters  # noqa: E402
from classify.evaluation.contenders import Workshop, odd, parted  # noqa: E402
from classify.evaluation.evaluate import AXES, chosen_axes, evaluate_model  # noqa: E402
from classify.evaluation.retrain import BASELINE, OUR_ARM, Plan, few, log_rows, retrain, without  # noqa: E402
from classify.evaluation.training_report import SMOOTH, report_training, smoothed  # noqa: E402
from classify.image_folder import load_crops  # noqa: E402
from classify.network import Denoiser, NetworkConfig  # noqa: E402
from classify.training import TrainConfig, train_model  # noqa: E402
from classify.training import release as releasing  # noqa: E402

NETWORK = {"image_px": 32, "patch_px": 4, "channels": (16, 32), "blocks": (1, 1)}
RECIPE = """
train = "anywhere"
val = "anywhere"
batch = 8
[network]
image_px = 32
patch_px = 4
channels = [16, 32]
blocks = [1, 1]
"""
RADII_UM = {"large": 8.0, "middle": 5.5, "small": 3.0}


def crop(radius_um, rng):
    image = np.full((128, 128, 3), GLASS, np.float32)
    rgb, alpha = white_cell(rng, 36 / 128, radius_um)
    half = rgb.shape[0] // 2
    where = slice(64 - half, 64 - half + rgb.shape[0])
    image[where, where] = alpha[..., None] * rgb + (1 - alpha[..., None]) * image[where, where]
    return (image * rng.uniform(0.9, 1, (1, 1, 3))).astype(np.uint8)


def write_cells(folder, radii, count, patients, seed=0):
    rng = np.random.default_rng(seed)
    for name, radius_um in radii.items():
        (folder / name).mkdir(parents=True)
        for i in range(count):
            Image.fromarray(crop(radius_um, rng)).save(folder / name / f"p{i % patients}-{i}.png")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Cells of a lab, of another lab with anomalies, a recipe, and a model trained for a few
    steps.
    """
    root = tmp_path_factory.mktemp("evaluation")
    for name, count in (("train", 16), ("val", 12), ("lab", 18)):
        write_cells(root / name, RADII_UM, count, 9, seed=len(name))
    write_cells(root / "odd", {"huge": 9.5, "speck": 1.5}, 9, 9)
    (root / "recipe.toml").write_text(RECIPE)
    folders = {"train": root / "train", "val": root / "val", "out": root / "run"}
    train_model(TrainConfig(**folders, steps=20, batch=12, network=NETWORK, warmup_steps=2))
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (
            ("CANDIDATES", 4),
            ("RELEASED_DRAWS", 3),
            ("ORDER_CELLS", 12),
            ("SHEET_COLUMNS", 1),
            ("SHEET_TRIED", 2),
        ):
            patch.setattr(releasing, name, value)
        releasing.release_model(root / "run", root / "model", "tiny")
    return root


def suite_of(place, **changes):
    minutes = dict.fromkeys(("baseline", "held_out", "low_data", "fine_tune"), 0.004)
    given = {
        "preset": "tiny",
        "recipe": place / "recipe.toml",
        "train": place / "train",
        "val": place / "val",
        "shift": {"lab/normal": place / "lab"},
        "held_out": ("middle",),
        "minutes": minutes,
        "generated": 2,
        "draws": 2,
        "resamples": 20,
        "lab": {
            "normal": place / "lab",
            "anomaly": place / "odd",
            "biological": ("huge",),
            "not_a_cell": ("speck",),
        },
        "low_data": {"images": (2, 4), "seeds": (0,)},
    }
    return Suite(**(given | changes))


def plan_of(place, folder, arm, minutes=0.01, **changes):
    recipe = TrainConfig(
        train=place / "train", val=place / "val", batch=8, network=NETWORK, **changes
    )
    return Plan(folder, arm, recipe, minutes, lambda: load_crops(place / "train"))


@pytest.fixture(scope="module")
def report(place):
    folder = place / "report"
    evaluate_model(place / "model", suite_of(place), folder, command="cytostream evaluate tiny")
    return folder


def test_every_axis_has_both_arms_and_an_interval_around_its_value(report):
    kept = json.loads((report / "report.json").read_text())
    figures = kept["figures"]
    assert kept["preset"] == "tiny" and kept["command"] == "cytostream evaluate tiny"
    for axis in (
        "in-domain",
        "domain shift",
        "held-out class",
        "far anomalies, zero-shot",
        "far anomalies, fine-tuned, test patients",
        "low data",
        "calibration",
    ):
        arms = {f["arm"].partition(":")[0] for f in figures if f["axis"] == axis}
        assert arms == {OUR_ARM, BASELINE, "ours - baseline"}, axis
    sure = [f for f in figures if f["low"] is not None]
    assert len(sure) > 100 and all(f["low"] <= f["high"] and f["cells"] > 0 for f in sure)


def test_figures_are_those_of_the_scores_kept_on_disk(place, report):
    """Recall of the baseline on a class, worked out again from its logits."""
    figures = json.loads((report / "report.json").read_text())["figures"]
    model, val = load_model(place / "model"), load_crops(place / "val")
    errors = np.load(report / "scores" / model.model_id / f"val-{len(val.labels)}.npy")
    logits = -(model.weight[:, None] * errors).sum(axis=1) / model.temperature[-1] + model.bias
    own = val.labels == val.classes.index("small")
    recall = float((logits.argmax(axis=1)[own] == model.card.classes.index("small")).mean())
    stated = [
        f for f in figures if (f["of"], f["metric"], f["arm"]) == ("small", "recall", OUR_ARM)
    ]
    assert [f["value"] for f in stated] == [pytest.approx(recall, abs=1e-4)]


def test_the_page_stands_alone_and_names_its_preset(report):
    page = (report / "report.html").read_text()
    assert "Preset <b>tiny</b>" in page and "processor time" in page
    assert (
        not re.findall(r"""(?:src|href)=["'](?!data:)""", page)
        and page.count("data:image/png;base64,") >= 10
    )


def test_a_finished_evaluation_is_not_trained_again_and_gives_the_same(place, report, monkeypatch):
    before = json.loads((report / "report.json").read_text())
    monkeypatch.setattr(retraining, "advance", lambda *a: pytest.fail("trained again"))
    evaluate_model(place / "model", suite_of(place), report, only=["low-data", "in-domain"])
    after = json.loads((report / "report.json").read_text())["figures"]
    assert after == [f for f in before["figures"] if f["axis"] in ("in-domain", "low data")]


def suite_file(path, suite):
    """As TOML: tables after plain keys."""
    kept = json.loads(suite.model_dump_json(exclude_none=True))
    lines = [f"{k} = {json.dumps(v)}" for k, v in kept.items() if not isinstance(v, dict)]
    for name, table in kept.items():
        if isinstance(table, dict):
            lines += [
                f"[{name}]",
                *(f"{json.dumps(k)} = {json.dumps(v)}" for k, v in table.items()),
            ]
    path.write_text("\n".join(lines))
    return path


def test_the_command_reads_its_suite_and_says_what_it_wrote(place, tmp_path):
    suite = suite_file(tmp_path / "suite.toml", suite_of(place))
    assert read_suite(suite) == suite_of(place)
    words = [
        "evaluate",
        str(place / "model"),
        "--suite",
        str(suite),
        "--report",
        str(tmp_path / "report"),
    ]
    done = CliRunner().invoke(app, [*words, "--only", "in-domain"], env={"COLUMNS": "500"})
    assert (
        done.exit_code == 0
        and "In domain: 21 figures" in done.output
        and "report.html" in done.output
    )
    refused = CliRunner().invoke(app, [*words, "--only", "beauty"])
    assert isinstance(refused.exception, DataError) and "held-out" in refused.exception.hint


def test_the_baseline_has_the_trunk_of_the_denoiser_and_about_its_size():
    cfg = NetworkConfig(classes=9, patch_px=4, channels=(64, 128, 256), blocks=(2, 2, 2))
    denoiser, classifier = Denoiser(cfg), Classifier(cfg)
    assert parameters(denoiser.trunk) == parameters(classifier.trunk)
    assert 0.9 < parameters(classifier) / parameters(denoiser) < 1


def test_the_baseline_learns_what_it_is_shown_and_does_not_hear_noise(place):
    shape = {
        "network": NETWORK,
        "batch": 12,
        "learning_rate": 3e-3,
        "warmup_steps": 1,
        "steps": 30,
        "other": False,
    }
    cfg = TrainConfig(train=place, val=place, **shape)
    run, data = (
        BaselineTraining(cfg, ("large", "middle", "small")),
        load_crops(place / "train"),
    )
    rng = np.random.default_rng(0)
    rows = []
    for _ in range(30):
        chosen = rng.choice(len(data.labels), 12)
        y = torch.from_numpy(data.labels[chosen])
        rows.append(
            run.advance(torch.from_numpy(data.images[chosen]), y, torch.zeros(12, dtype=torch.bool))
        )
    assert (
        rows[0]["cross_entropy"] == pytest.approx(np.log(3), rel=0.2) and "denoising" not in rows[0]
    )
    assert np.mean([r["cross_entropy"] for r in rows[-5:]]) < 0.8 * rows[0]["cross_entropy"]
    x, sigma = torch.randn(2, 3, 32, 32), torch.ones(2)
    net = run.averaged()
    assert torch.equal(
        net.errors(x, torch.randn_like(x), sigma), net.errors(x, torch.zeros_like(x), 5 * sigma)
    )


@pytest.mark.parametrize("arm", [OUR_ARM, BASELINE])
def test_a_retraining_takes_its_minutes_and_a_killed_one_goes_on(place, tmp_path, arm, monkeypatch):
    monkeypatch.setattr(retraining, "SAVE_EVERY_S", 0.0)

    def die(row):
        if row["step"] == 3:
            raise KeyboardInterrupt

    plan = plan_of(place, tmp_path, arm, minutes=0.02)
    with pytest.raises(KeyboardInterrupt):
        retrain(plan, die)
    done = retrain(plan)
    rows = log_rows(tmp_path / "log.jsonl")
    assert [r["step"] for r in rows] == list(range(1, len(rows) + 1)) and done.took["steps"] == len(
        rows
    ) > 3
    assert done.took["minutes"] >= 0.02 and rows[-2]["seconds"] < 1.2
    assert done.took["images"] == done.took["steps"] * plan.recipe.batch
    assert retrain(plan, lambda row: pytest.fail("trained again")).took == {
        **done.took,
        "classes": list(done.classes),
    }


def test_another_plan_does_not_go_on_in_the_same_folder(place, tmp_path):
    retrain(plan_of(place, tmp_path, OUR_ARM))
    with pytest.raises(DataError, match="other settings"):
        retrain(plan_of(place, tmp_path, OUR_ARM, learning_rate=1e-5))


def test_a_baseline_trained_before_is_taken_with_the_minutes_it_had(place, tmp_path):
    retrain(plan_of(place, tmp_path / "kept", BASELINE, minutes=0.006))
    work = Workshop(
        suite_of(place, baseline=tmp_path / "kept"),
        load_model(place / "model"),
        None,
        tmp_path / "report",
    )
    assert (
        work.baseline_run.took["minutes"] >= 0.006 and not (tmp_path / "report" / "runs").exists()
    )
    with pytest.raises(DataError, match="no baseline"):
        _ = Workshop(
            suite_of(place, baseline=place / "run"), load_model(place / "model"), None, tmp_path
        ).baseline_run


def test_a_plan_kept_before_the_recipe_had_a_key_still_holds(place, tmp_path):
    retrain(plan_of(place, tmp_path, OUR_ARM))
    kept = json.loads((tmp_path / "plan.json").read_text())
    del kept["recipe"]["wide_share"]
    (tmp_path / "plan.json").write_text(json.dumps(kept))
    assert (
        retrain(plan_of(place, tmp_path, OUR_ARM), lambda row: pytest.fail("trained again")).took[
            "steps"
        ]
        > 0
    )


def test_of_a_log_that_a_kill_cut_short_the_whole_rows_count_and_of_a_step_the_last(tmp_path):
    log = tmp_path / "log.jsonl"
    log.write_text(
        '{"step": 1, "loss": 3}\n{"step": 2, "loss": 2}\n{"step": 2, "loss": 1}\n{"step": 3, "lo'
    )
    assert log_rows(log) == [{"step": 1, "loss": 3}, {"step": 2, "loss": 1}]
    assert log_rows(tmp_path / "none.jsonl") == []


def test_few_and_without_take_what_they_say(place):
    data = load_crops(place / "train")
    some = few(data, 3, seed=1)
    assert np.bincount(some.labels).tolist() == [3, 3, 3] and set(some.paths) < set(data.paths)
    assert set(few(data, 3, seed=2).paths) != set(some.paths) == set(few(data, 3, seed=1).paths)
    rest = without(data, "middle")
    assert rest.classes == ("large", "small") and {p.parent.name for p in rest.paths} == {
        "large",
        "small",
    }
    assert [rest.classes[c] for c in rest.labels] == [p.parent.name for p in rest.paths]


def test_no_patient_trains_and_tests():
    patients = parted([f"p{i:03}" for i in range(46)], fold=3)
    groups = patients.train, patients.calibrate, patients.test
    assert sum(map(len, groups)) == len(frozenset().union(*groups)) == 46
    assert len(patients.test) == 15 and len(patients.calibrate) == 6


def test_halves_share_no_cell(place):
    val = load_crops(place / "val")
    assert not set(odd(val)) & set(range(0, len(val.labels), 2))


def test_an_axis_without_data_is_left_out_and_one_unknown_is_refused(place):
    bare = suite_of(place, lab=None, low_data=None, held_out=(), shift={}, generated=0)
    assert chosen_axes(bare, []) == ["in-domain", "calibration"] and set(
        chosen_axes(suite_of(place), [])
    ) == set(AXES)
    with pytest.raises(DataError, match="no axis"):
        chosen_axes(bare, ["far"])


def test_a_lab_whose_training_patients_lack_a_class_says_so(place, tmp_path):
    lab = tmp_path / "lab"
    write_cells(lab, {"large": 8.0, "small": 3.0}, 9, 9)
    suite = suite_of(place, lab={"normal": lab, "anomaly": place / "odd"}, shift={})
    with pytest.raises(DataError, match="no middle"):
        evaluate_model(place / "model", suite, tmp_path / "report", only=["far"])


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ("preset = 3", "preset"),
        ("speed = 1", "speed"),
        ("val = 'nowhere'", "nowhere is not there"),
        ("[minutes]\nheld_out = 0", "held_out"),
        ("preset = ", "Invalid"),
    ],
)
def test_a_suite_that_will_not_do_says_what_to_mend(place, tmp_path, change, told):
    good = {
        "preset": '"mine"',
        "recipe": f'"{place}/recipe.toml"',
        "train": f'"{place}/train"',
        "val": f'"{place}/val"',
    }
    lines = [f"{k} = {v}" for k, v in good.items() if not change.startswith(k)]
    path = tmp_path / "suite.toml"
    path.write_text("\n".join([*lines, change]))
    with pytest.raises(DataError, match=told) as caught:
        read_suite(path)
    assert caught.value.hint


def test_a_training_report_shows_curves_cells_and_confusion(place):
    """On the run that the other tests' model comes from."""
    out = report_training(place / "run", per_class=4)
    told = json.loads((out / "training.json").read_text())
    assert told["steps"] == 20 and told["images"] == 240 and len(told["validation"]) == 1
    confusion = np.array(told["confusion"])
    assert (
        confusion.shape == (4, 4)
        and confusion[:3].sum(axis=1).tolist() == [4, 4, 4]
        and confusion[3].sum() > 0
    )
    assert told["recall"]["large"] == pytest.approx(confusion[0, 0] / 4)
    pictures = {p.stem: Image.open(p) for p in out.glob("*.png")}
    assert set(pictures) == {
        "losses",
        "gradient",
        "accuracy",
        "generated",
        "trained-on",
        "confusion",
    }
    assert all(
        min(p.size) > 100 and len(np.unique(np.asarray(p.convert("L")))) > 10
        for p in pictures.values()
    )


def test_a_training_report_of_no_training_says_so(tmp_path):
    with pytest.raises(ModelError, match="not a training run"):
        report_training(tmp_path)


def test_smoothing_is_the_mean_of_the_last_steps():
    values = list(range(200))
    assert smoothed(values)[:3].tolist() == [0, 0.5, 1] and smoothed(values)[-1] == np.mean(
        values[-SMOOTH:]
    )


@pytest.mark.parametrize("name", ["quick", "full"])
def test_the_suites_that_come_along_are_whole_but_for_their_data(name, request):
    path = request.config.rootpath / "configs" / "evaluation" / f"suite-{name}.toml"
    try:
        assert read_suite(path).preset == name
    except DataError as error:
        assert "is not there" in error.what and "recipe" not in error.what

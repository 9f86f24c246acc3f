"""A recipe's defaults, the cells that it reads, and what a release makes of them."""

import csv
import json
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

torch = pytest.importorskip("torch", reason="the train extra is not installed")

from classify.errors import DataError  # noqa: E402
from classify.evaluation.baseline import Classifier  # noqa: E402
from classify.evaluation.suite import Suite  # noqa: E402
from classify.image_folder import CropFolder, image_paths, load_crops, read_crop  # noqa: E402
from classify.model_card import CellSize, ClassEntry  # noqa: E402
from classify.network import NetworkConfig  # noqa: E402
from classify.pixels import on_white  # noqa: E402
from classify.training import Jitter, TrainConfig  # noqa: E402
from classify.training.field_crops import (  # noqa: E402
    FieldBox,
    FieldBoxes,
    cell_crop,
    chosen_boxes,
    read_boxes,
    write_field_crops,
)
from classify.training.initial_weights import Initial  # noqa: E402
from classify.training.release import (  # noqa: E402
    attribute_rates,
    log_prior,
    normal_classes,
    precisions,
)
from classify.training.sources import Source, read_attributes, read_sources  # noqa: E402
from classify.training.train import like  # noqa: E402
from classify.training.training_crops import read_data  # noqa: E402
from ingest import open_slide  # noqa: E402
from tests.classify.training.test_golden_training import CROPS, TINY, filled  # noqa: E402
from tests.golden_figures import GoldenFile  # noqa: E402
from tests.make import tiny_model  # noqa: E402

pytestmark = pytest.mark.train


LAB = {"normal": "n", "anomaly": "a"}


def test_what_a_recipe_says_where_it_is_silent(golden: GoldenFile) -> None:
    """A recipe of last year trains the same model today."""
    recipe = TrainConfig(val="v").model_dump(mode="json")
    card = tiny_model().card.model_dump(mode="json", exclude={"sha256"})
    entry = ClassEntry(parent="p").model_dump(mode="json")
    suite = Suite(preset="p", recipe="r", train="t", val="v", low_data={}, lab=LAB)
    figures = {
        "recipe": recipe,
        "jitter": asdict(Jitter()),
        "class": entry,
        "card": card,
        "suite": suite.model_dump(mode="json"),
    }
    golden("defaults", figures)
    assert TrainConfig(val="v", taxonomy={"a": "p"}).parents == {"a": "p"}
    with pytest.raises(DataError) as refused:
        _ = TrainConfig(val="v").train_folder
    assert refused.value.what == "no cells to train on"
    assert refused.value.hint == "name a folder with `train`, or `sources`"


@pytest.mark.parametrize(
    "change",
    [{"steps": 0}, {"learning_rate": 0}, {"cooldown_share": 0}, {"cooldown_share": 1.1}]
    + [{"wide_share": -0.1}, {"mix_style": 1.1}, {"minutes": -1}, {"error_level": 1}, {"batch": 0}],
    ids=str,
)
def test_a_recipe_beyond_its_bounds_is_refused(change: dict) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        TrainConfig(val="v", **change)
    TrainConfig(val="v", steps=1, cooldown_share=1, wide_share=1, mix_style=1, batch=1)


def test_weights_of_other_pixels_are_refused_in_words() -> None:
    initial = Initial({}, ("a",), {"image_px": 32}, 80, True)
    found = like(TrainConfig(val="v", init="i"), initial)
    assert (found.window_px, found.white, found.network) == (80, True, {"image_px": 32})
    named = TrainConfig(val="v", init="i", window_px=80, network=TINY)
    assert like(named, initial).network == TINY
    for change, what in (
        ({"window_px": 96}, "i was trained with window_px = 80"),
        ({"white": False}, "i was trained with white = true"),
    ):
        with pytest.raises(DataError) as refused:
            like(TrainConfig(val="v", init="i", **change), initial)
        assert (refused.value.what, refused.value.hint) == (what, "leave it out, or say the same")


def write_image(path: Path, high: int = 20, wide: int = 30, tone: int = 0) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.zeros((high, wide, 3), np.uint8)
    pixels[..., 0] = 5 * np.arange(wide)
    pixels[..., 1] = 7 * np.arange(high)[:, None]
    pixels[..., 2] = tone
    Image.fromarray(pixels).save(path)
    return path


def test_images_are_read_whole_or_about_their_middle(golden: GoldenFile, tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.png")
    figures = {
        "whole": read_crop(path, 10),
        "as it is": read_crop(write_image(tmp_path / "b.png", 16, 16), 16),
        "middle": read_crop(path, 8, 12.5),
        "beyond": read_crop(path, 8, 27),
        "square": read_crop(path, 8, 20),
    }
    golden("crops", figures)
    Image.fromarray(np.zeros((4, 4), np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(ValueError, match=r"^I;16 pixels: 8-bit images are wanted$"):
        read_crop(tmp_path / "deep.png", 4)
    folder = CropFolder(tmp_path, 8)
    assert [path.name for path, _ in folder] == ["a.png", "b.png"]
    assert list(folder.skipped) == [tmp_path / "deep.png"]
    with pytest.raises(DataError) as refused:
        CropFolder(tmp_path / "none", 8)
    assert refused.value.what == f"{tmp_path / 'none'}: no image here"
    endings = ".bmp, .jpeg, .jpg, .png, .tif, .tiff, .webp"
    assert refused.value.hint == f"images end in {endings}"


def test_folders_of_classes(tmp_path: Path) -> None:
    for name in ("b/2.png", "b/1.PNG", "a/deeper/3.png", "a/notes.txt"):
        write_image(tmp_path / "all" / name) if "txt" not in name else None
    found = load_crops(tmp_path / "all", 8)
    assert found.classes == ("a", "b") and found.labels.tolist() == [0, 1, 1]
    assert [path.name for path in found.paths] == ["3.png", "1.PNG", "2.png"]
    assert [p.name for p in image_paths(tmp_path / "all")] == ["3.png", "1.PNG", "2.png"]
    some = load_crops(tmp_path / "all", 8, ("b", "absent"))
    assert some.labels.tolist() == [0, 0] and some.classes == ("b", "absent")
    picked = found.picked(np.array([2, 0]))
    assert picked.labels.tolist() == [1, 0] and picked.paths[0].name == "2.png"
    (tmp_path / "one" / "a").mkdir(parents=True)
    for folder, count in ((tmp_path / "one", 1), (tmp_path / "none", 0)):
        with pytest.raises(DataError) as refused:
            load_crops(folder, 8)
        what = f"{folder}: two or more class folders are wanted, found {count}"
        assert (refused.value.what, refused.value.hint) == (
            what,
            "lay it out as FOLDER/CLASS/image",
        )
    (tmp_path / "all" / "c").mkdir()
    with pytest.raises(DataError) as refused:
        load_crops(tmp_path / "all", 8)
    assert refused.value.what == f"{tmp_path / 'all'}: no readable image of c"
    assert refused.value.hint == "remove the class folder or add images"


def sources(root: Path) -> tuple[Source, ...]:
    for number in range(4):
        write_image(root / "home" / "seg" / f"s_{number}.png", tone=10 * number)
        write_image(root / "away" / "mono" / f"m_{number}.png", tone=100 + number)
    write_image(root / "away" / "left" / "x.png")
    (root / "away" / "mono" / "broken.png").write_bytes(b"no image")
    home = Source(folder=root / "home", laboratory="z", held_out=2)
    away = Source(folder=root / "away", laboratory="b", labels={"mono": "p"})
    return home, away


def table_of(root: Path) -> Path:
    path = root / "attributes.csv"
    with path.open("w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("img_name", "before", "cell_size", "shape", "granularity", "after"))
        for number in range(3):
            size = "big" if number % 2 else "small"
            rows.writerow((f"s_{number}.jpg", "-", size, "round", "yes" if number else "no", "-"))
    return path


def test_cells_of_several_laboratories(golden: GoldenFile, tmp_path: Path) -> None:
    given = sources(tmp_path)
    table = read_attributes(table_of(tmp_path))
    found = read_sources(given, 8, False, ("seg", "p"), table)
    kept = read_sources(given, 8, True, ("seg", "p"), held_out=True)
    cfg = TrainConfig(val="v", sources=given, attributes=table_of(tmp_path), taxonomy={"seg": "n"})
    figures = {
        "attributes": [table.values, {k: v.tolist() for k, v in table.of_image.items()}],
        "images": found.images,
        "labels": found.labels,
        "laboratories": found.laboratories,
        "values": found.attributes,
        "paths": [path.name for path in found.paths],
        "skipped": [path.name for path in found.skipped],
        "held out": [[path.name for path in kept.paths], kept.labels, kept.images],
        "rates": attribute_rates(cfg, ("seg", "mono")),
        "all labels": cfg.labels,
    }
    golden("sources", figures)
    with pytest.raises(DataError) as refused:
        read_sources(given, 8, False, ("seg",))
    assert refused.value.what.endswith("broken.png: p is no label of this training")
    assert refused.value.hint == "map it to a class or parent in `labels`"
    with pytest.raises(DataError) as refused:
        read_sources((), 8, False, ("seg",))
    assert refused.value.what == "no readable image in any source"
    assert refused.value.hint == "name folders of images in `sources`"


def test_what_a_training_reads(golden: GoldenFile, tmp_path: Path) -> None:
    """Cells to train and to validate on, of one folder or of several laboratories."""
    for name in ("train/a/1.png", "train/b/2.png", "val/a/3.png", "val/b/4.png"):
        write_image(tmp_path / name, tone=40)
    folders = {"train": tmp_path / "train", "val": tmp_path / "val", "crop_px": 16}
    for white in (False, True):
        for other, names in ((True, ("a", "b", "other")), (False, ("a", "b"))):
            cfg = TrainConfig(**folders, white=white, other=other)
            data, val, classes, values = read_data(cfg)
            assert classes == names and values is None and data.classes == ("a", "b")
            assert [path.name for path in (*data.paths, *val.paths)] == [
                f"{n}.png" for n in (1, 2, 3, 4)
            ]
            plain = load_crops(tmp_path / "train", 16).images
            expected = on_white(plain) if white else plain
            np.testing.assert_array_equal(data.images, expected)
    given = sources(tmp_path)
    several = TrainConfig(
        val=tmp_path / "home",
        sources=given,
        crop_px=8,
        taxonomy={"seg": "n", "mono": "p"},
        attributes=table_of(tmp_path),
    )
    data, val, classes, values = read_data(several)
    figures = {
        "trained on": [path.name for path in data.paths],
        "validated on": [path.name for path in val.paths],
        "labels": [data.labels, val.labels, data.classes],
        "classes": classes,
        "values": values,
        "attributes": data.attributes,
    }
    golden("read", figures)


def fields(count: int = 60) -> FieldBoxes:
    rng = np.random.default_rng(2)
    boxes = []
    for number in range(count):
        x, y = rng.uniform(0, 600), rng.uniform(0, 200)
        label = ("wbc", "rbc", "platelet", "dirt")[number % 4]
        half = rng.uniform(10, 30)
        boxes.append(FieldBox(label=label, x0=x - half, y0=y - half, x1=x + half, y1=y + half))
    return FieldBoxes(mpp=0.1, field=(200, 200), boxes=tuple(boxes))


def test_cells_of_fields_are_cut_as_they_were(golden: GoldenFile, tmp_path: Path) -> None:
    found = fields()
    pixels = np.random.default_rng(1).integers(60, 255, (200, 600, 3), np.uint8)
    pixels[:, 200:400] //= 2
    Image.fromarray(pixels).save(tmp_path / "fields.png")
    (tmp_path / "boxes.json").write_text(found.model_dump_json())
    slide = open_slide(tmp_path / "fields.png", 0.1)
    chosen = list(chosen_boxes(found))
    made = write_field_crops(tmp_path / "fields.png", tmp_path / "boxes.json", tmp_path / "out")
    figures = {
        "chosen": [number for number, _ in chosen],
        "other seed": [number for number, _ in chosen_boxes(found, 3)],
        "written": dict(made),
        "crops": np.stack([cell_crop(slide, found, box, 36.0, 32) for _, box in chosen[:6]]),
        "narrow": cell_crop(slide, found, chosen[0][1], 9.0, 24),
    }
    golden("field-crops", figures, rel=1e-4)
    assert read_boxes(tmp_path / "boxes.json") == found
    edge = [(6.5, True), (6.4, False)]
    for label, least in (("wbc", 0.0), ("platelet", 2.5)):
        for um, is_whole in edge:
            x = (um - least) * 10
            box = FieldBox(label=label, x0=x - 5, y0=95, x1=x + 5, y1=105)
            only = FieldBoxes(mpp=0.1, field=(200, 200), boxes=(box,))
            assert bool(list(chosen_boxes(only))) is is_whole
    (tmp_path / "boxes.json").write_text(json.dumps({"mpp": 0.1, "field": [9, 9], "boxes": []}))
    with pytest.raises(DataError) as refused:
        write_field_crops(tmp_path / "fields.png", tmp_path / "boxes.json", tmp_path / "none")
    assert refused.value.what == f"{tmp_path / 'boxes.json'}: no box of a whole cell"
    assert refused.value.hint == "labels are wbc, rbc, platelet"


def test_what_a_release_decides(golden: GoldenFile) -> None:
    """bf16 is allowed where it calls at most two fifths of the error level otherwise."""
    whole = np.zeros((1000, 2, 2))
    whole[:, -1, 0] = 1
    for changed, allowed in ((0, True), (4, True), (5, False)):
        low = whole.copy()
        low[:changed, -1] = [0, 1]
        expected = ("bf16", "f32") if allowed else ("f32",)
        assert precisions(whole, low, 0.01) == expected
    taxonomy = {
        "dark": ClassEntry(parent="dark", prior=0.25),
        "light": ClassEntry(parent="light", normal=False),
    }
    card = tiny_model().card.model_copy(update={"taxonomy": taxonomy})
    np.testing.assert_allclose(log_prior(card), [np.log(0.25), 0, 0])
    assert normal_classes(card).tolist() == [True, False, False]
    sizes = CellSize(log_mean=1.0, log_spread=0.3, white=0.5, cells=1)
    assert card.window_um == 27 and card.features == 8 and card.disc_fraction == 0.84
    named = card.model_copy(update={"feature_count": 5, "sizes": {"dark": sizes}})
    assert named.features == 5 and named.model_id != card.model_id
    assert card.model_copy(update={"figures": {"a": {}}}).model_id == card.model_id
    assert card.parents == ("dark", "light", "other") and card.counted == ("dark", "light")


def test_the_baseline(golden: GoldenFile) -> None:
    net = filled(Classifier(NetworkConfig(3, **TINY))).eval()
    x = torch.sin(torch.arange(2 * 3 * 32 * 32.0) / 5).reshape(2, 3, 32, 32)
    with torch.no_grad():
        features, logits = net.features(x), net(x)
        errors = net.errors(x, x, torch.ones(2))
    golden("baseline", [features.numpy(), logits.numpy(), errors.numpy()], rel=1e-3, least=1e-4)
    assert net.log_gain(torch.tensor([2.0, 3.0])).tolist() == [0, 0] and len(CROPS) == 5

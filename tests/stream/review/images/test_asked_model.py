"""What is asked of the model for a cell on the page, what is kept of it, and how each failure is
said; tiles and checks of slides by workers that answer at once.
"""

import threading
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from ingest import CytostreamError, Slide
from stream.review.images import explanations, slide_check, slide_tiles
from stream.review.images.explanations import ReasonError, Reasons, heat_rgb, url
from stream.review.images.slide_check import CheckedSlide, SlideCheck
from stream.review.images.slide_tiles import Viewer
from tests.approved import approved
from tests.make import BrightnessEngine, tiny_model
from tests.recorded import Named, Recorded

MODEL = tiny_model()
CROP = np.full((128, 128, 3), 120, np.uint8)


@pytest.fixture
def recorded(monkeypatch):
    return Recorded(monkeypatch)


@pytest.fixture
def reasons(recorded, tmp_path):
    recorded.put(explanations, "load_model", MODEL)
    recorded.put(explanations, "open_engine", lambda model: BrightnessEngine())
    made = Reasons(tmp_path, 60.0, tmp_path / "known.npz")
    yield made
    made.close()


def test_the_colours_of_a_map():
    heat = np.array([[-2.0, -1.0, -0.5], [0.0, 0.5, 1.5]])
    assert heat_rgb(heat).tolist() == [
        [[33, 102, 172], [33, 102, 172], [144, 178, 214]],
        [[255, 255, 255], [216, 140, 149], [178, 24, 43]],
    ]
    assert url(CROP[:2, :2]).startswith("data:image/png;base64,iVBOR")


def test_maps_and_neighbours_of_a_cell(reasons, recorded, monkeypatch, tmp_path):
    heat = np.array([[[0.5, -2.0]], [[1.0, 0.0]]])
    made = SimpleNamespace(classes=("a", "b"), heat=heat, counterfactual=[CROP, CROP], seen=CROP)
    made.words = "round"
    explained = recorded.function("explain_cell", lambda *_: made)
    monkeypatch.setattr(explanations, "explain_cell", explained)
    shown = recorded.function("url", lambda rgb: f"{rgb.shape} {rgb.reshape(-1, 3)[:2].tolist()}")
    monkeypatch.setattr(explanations, "url", shown)
    first = reasons.explain("c1", CROP)
    assert reasons.explain("c1", CROP) is first
    made.heat = np.zeros((2, 1, 2))
    recorded.lines += [str(first), str(reasons.explain("c2", CROP))]
    near = {"a": [(0.25, CROP, "x.png"), (np.float32(0.5), CROP, "y.png")], "b": []}
    index = Named("index", find=recorded.function("find", near))
    monkeypatch.setattr(explanations.Nearest, "open", recorded.function("Nearest.open", index))
    recorded.lines += [str(reasons.nearest(name, CROP)) for name in ("c1", "c2")]
    assert reasons.folder == tmp_path and not reasons.offered
    (tmp_path / "card.json").touch()
    assert reasons.offered
    none = Reasons(tmp_path, 60.0)
    with pytest.raises(ReasonError) as refused:
        none.nearest("c1", CROP)
    none.close()
    recorded.lines.append(f"{refused.value.what} -> {refused.value.hint}")
    names = {"folder": tmp_path, "model": MODEL.model_id}
    approved(__file__, "maps", "\n".join(recorded.lines), **names)


def test_a_cell_is_judged_and_told_in_words(reasons, recorded, monkeypatch):
    sized = recorded.function("size", "evidence")
    monkeypatch.setattr(explanations, "size_evidence", lambda card, *given: sized(*given))

    def judge(asked, engine, model, evidence):
        recorded.lines.append(f"judge {[name for name, _ in asked]}, {evidence(0)}")
        return iter([(asked[0][0], "verdict"), ("no", "other")])

    monkeypatch.setattr(explanations, "judge", judge)
    taught = recorded.function("TaughtJudge", lambda classes: Named("taught", verdict=str.upper))
    monkeypatch.setattr(explanations, "TaughtJudge", taught)
    cell = Named("cell", cell_id="c1", kind="wbc", area_um2=90.5, crop=CROP)
    library = Named("library", in_use=recorded.function("in_use", ["hairy"]))
    found = reasons.judge(cell, library)
    assert (found.cell, found.verdict, found.model_id) == (cell, "VERDICT", MODEL.model_id)
    assert reasons.words("c1", CROP, {"dark": 0.1, "light": 0.9}) == ""
    monkeypatch.setattr(explanations, "has_attributes", lambda model: True)
    shaped = recorded.function("to_input", lambda crops, *_: crops)
    monkeypatch.setattr(explanations, "to_input", shaped)
    attributes = recorded.function("attributes_of", ["attributes", "no"])
    monkeypatch.setattr(explanations, "attributes_of", attributes)
    described = recorded.function("describe", SimpleNamespace(sentence="a round cell"))
    monkeypatch.setattr(explanations, "describe", described)
    scores = {"dark": 0.1, "unknown": 0.5, "light": 0.9}
    assert reasons.words("c2", CROP, scores) == "a round cell"
    lines = [line for line in recorded.lines if "shipped" not in line]
    folder = reasons.folder
    approved(__file__, "judged", "\n".join(lines), folder=folder)


@pytest.mark.parametrize(
    ("error", "what", "is_kept"),
    [
        (CytostreamError("no model", ""), "the model cannot be asked here", False),
        (ImportError("no"), "the model cannot be asked here", False),
        (OSError("no"), "the model cannot be asked here", False),
        (ValueError("no"), "the model cannot be asked here", False),
        (ReasonError("not this one", "try"), "not this one", False),
        (TimeoutError(), "the model takes too long", True),
    ],
)
def test_a_question_that_fails(reasons, monkeypatch, error, what, is_kept, caplog):
    answer = Future()
    answer.set_exception(error)
    monkeypatch.setattr(reasons._thread, "submit", lambda *_: answer)
    with pytest.raises(ReasonError, match=what) as refused:
        reasons.explain("c1", CROP)
    assert bool(reasons._kept) is is_kept
    hints = {"cannot": "the log of the server says why", "not": "try"}
    hints["takes"] = "ask again in a while, or raise review.reasons_s"
    assert refused.value.hint == hints[next(word for word in hints if word in what)]
    logged = [one.getMessage() for one in caplog.records]
    assert bool(logged) is ("cannot" in what)
    assert all(line.startswith("no answer of the model: ") for line in logged)


def test_the_last_answers_are_kept(reasons, monkeypatch):
    monkeypatch.setattr(explanations, "_KEPT", 3)
    asked = []

    def submit(make):
        answer = Future()
        answer.set_result(make())
        return answer

    monkeypatch.setattr(reasons._thread, "submit", submit)
    for name in ("a", "b", "a", "c", "d", "b", "a"):
        key = ("x", name)
        reasons._ask(key, lambda name=name: asked.append(name) or {"n": name})
    assert asked == ["a", "b", "c", "d", "a"]
    ended = []
    monkeypatch.setattr(reasons._thread, "shutdown", lambda **how: ended.append(how))
    reasons.close()
    assert ended == [{"wait": False, "cancel_futures": True}]


SLIDE = Slide("abc-1", Path("/s/a.svs"), 400, 300, 0.25, (), "generic", "x", "image", "state 1")


@dataclass
class Workers:
    """They answer with what is next."""

    recorded: Recorded
    answers: list

    def call(self, function, given, limit_s):
        self.recorded.function(function.__name__)(given, limit_s)
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


def test_tiles_are_read_by_workers_and_kept(recorded, monkeypatch):
    monkeypatch.setattr(slide_tiles, "_KEPT", 2)
    workers = Workers(recorded, [b"1", b"2", b"3", b"2 again", "cell", b"label"])
    viewer = Viewer(workers, 7.0)
    assert viewer.check._limit_s == 300.0 and Viewer(workers, 7.0, 5.0).check._limit_s == 5.0
    places = (0, 1), (0, 2), (0, 1), (0, 3), (0, 1), (0, 2)
    tiles = [viewer.tile(SLIDE, 0, *place) for place in places]
    assert tiles == [b"1", b"2", b"1", b"3", b"1", b"2 again"]
    assert viewer.marked_cell(SLIDE, (1, 2, 3, 4)) == "cell"
    assert viewer.beside(SLIDE, "label") == b"label"
    recorded.put(slide_tiles, "view_levels", 3)
    assert viewer.levels(SLIDE) == 3
    approved(__file__, "tiles", "\n".join(recorded.lines))


def test_a_file_is_held_against_the_slide_that_was_read(recorded, monkeypatch):
    states = {"/s/a.svs": "state 1", "/s/b.svs": "state 2", "/s/c.svs": "state 3"}

    def state_of(files):
        if files[0] not in states:
            raise FileNotFoundError
        return states[files[0]]

    monkeypatch.setattr(slide_check, "files_of", lambda path: [str(path)])
    monkeypatch.setattr(slide_check, "file_state", state_of)
    workers = Workers(recorded, [])
    check = SlideCheck(workers, 9.0)
    there = CheckedSlide("there", SLIDE)
    assert check.find(SLIDE) == there and check.find(SLIDE, [Path("/s/b.svs")]) == there
    states["/s/a.svs"] = "state 9"
    workers.answers += ["other"]
    assert [check.find(SLIDE) for _ in range(2)] == [CheckedSlide("changed")] * 2
    workers.answers += ["abc"]
    at_b = replace(SLIDE, path=Path("/s/b.svs"), file_state="state 2")
    assert check.find(SLIDE, [Path("/s/b.svs")]) == CheckedSlide("there", at_b)
    del states["/s/a.svs"], states["/s/b.svs"]
    assert check.find(SLIDE, [Path("/s/b.svs")]) == CheckedSlide("gone")
    workers.answers += [CytostreamError("no", ""), CytostreamError("no", "")]
    for _ in range(2):
        assert check.find(SLIDE, [Path("/s/c.svs")]) == CheckedSlide("changed")
    monkeypatch.setattr(slide_check, "_KEPT", 2)
    for number in range(3):
        states["/s/a.svs"] = f"new {number}"
        workers.answers += ["other"]
        check.find(SLIDE)
    assert [state for _, state in check._known] == ["new 1", "new 2"]
    monkeypatch.setattr(slide_check, "content_id", lambda files: f"id of {files}")
    assert slide_check.content_of(Path("/s/a.svs")) == "id of ['/s/a.svs']"
    assert isinstance(check._lock, type(threading.Lock()))
    approved(__file__, "checked", "\n".join(recorded.lines))

"""What is no smear and what has another scale, at and beside each limit of the check."""

from pathlib import Path

import numpy as np
import pytest

from ingest import HeldError, Slide, Survey
from ingest.slide import Level
from ingest.survey import StainMask
from segment import smear_check
from segment.smear_check import RedCellFit, check_smear, fault_of


def slide_of(side_px0: int = 4000, mpp: float = 0.25) -> Slide:
    levels = (Level(side_px0, side_px0, 1.0),)
    return Slide("s", Path("s.svs"), side_px0, side_px0, mpp, levels, "v", "s", "image")


def fit(
    share: float = 0.5, bodies: int = 20, cells: int = 18, um: float = 7.2, mpp: float = 0.25
) -> RedCellFit:
    return RedCellFit(mpp, bodies, np.full(cells, um), share)


NO_COLOUR = "it has no colour"
NO_GLASS = "there is no empty glass between its cells"


def few_round(share: float) -> str:
    return f"round bodies as red cells are make up {share:.0%} of what lies on it"


@pytest.mark.parametrize(
    ("found", "glass", "colour", "share_of_few", "fault"),
    [
        (fit(), 0.5, 0.08, 0.1, None),
        (fit(), 0.5, 0.079, 0.1, NO_COLOUR),
        (fit(), 0.15, 0.5, 0.1, None),
        (fit(), 0.149, 0.5, 0.1, NO_GLASS),
        (fit(bodies=15), 0.2, 0.5, 0.1, None),
        (fit(bodies=14), 0.2, 0.5, 0.1, None),
        (fit(0.24, bodies=14), 0.2, 0.5, 0.1, NO_GLASS),
        (fit(0.25, bodies=14), 0.2, 0.5, 0.1, None),
        (fit(0.24, bodies=14), 0.26, 0.5, 0.1, None),
        (fit(0.24, bodies=14), 0.259, 0.5, 0.1, NO_GLASS),
        (fit(0.1, bodies=14), 0.3, 0.5, 0.1, None),
        (fit(0.09, bodies=14), 0.3, 0.5, 0.1, few_round(0.09)),
        (fit(0.09, bodies=14), 0.3, 0.5, 0.05, None),
        (fit(0.25, bodies=60), 0.5, 0.5, 0.1, None),
        (fit(0.24, bodies=60), 0.5, 0.5, 0.1, few_round(0.24)),
        (fit(0.24, bodies=50), 0.5, 0.5, 0.1, None),
        (fit(0.24, bodies=51), 0.5, 0.5, 0.1, few_round(0.24)),
        (fit(0.24, bodies=50), 0.6, 0.5, 0.1, few_round(0.24)),
        (fit(0.24, bodies=50), 0.59, 0.5, 0.1, None),
        (fit(0.12, bodies=50), 0.5, 0.5, 0.1, None),
        (fit(0.119, bodies=50), 0.5, 0.5, 0.1, few_round(0.119)),
    ],
)
def test_what_is_no_smear(
    monkeypatch: pytest.MonkeyPatch,
    found: RedCellFit,
    glass: float,
    colour: float,
    share_of_few: float,
    fault: str | None,
) -> None:
    monkeypatch.setattr(smear_check, "windows_at", lambda *asked: iter(()))
    monkeypatch.setattr(smear_check, "appearance", lambda tiles: (glass, colour))
    assert fault_of(slide_of(), [], found, share_of_few) == fault


@pytest.mark.parametrize(
    ("side_px0", "mpp", "fault"),
    [(119, 0.25, None), (120, 0.25, few_round(0.01)), (119, 0.5, few_round(0.01))],
)
def test_an_image_below_30_um_may_lie_within_a_cell(
    monkeypatch: pytest.MonkeyPatch, side_px0: int, mpp: float, fault: str | None
) -> None:
    monkeypatch.setattr(smear_check, "windows_at", lambda *asked: iter(()))
    monkeypatch.setattr(smear_check, "appearance", lambda tiles: (0.3, 0.5))
    found = fit(0.01, bodies=2, mpp=0.25)
    assert fault_of(slide_of(side_px0, mpp), [], found, 0.1) == fault


def survey(density: float = 0.3, share: float = 1.0) -> Survey:
    shown = np.zeros((20, 20))
    shown.ravel()[: round(400 * share)] = density
    return Survey(StainMask(128, shown > 0, (240, 240, 240)), shown, shown)


HELD = "held for its content"
SCALE = "held for its scale"


@pytest.mark.parametrize(
    ("stated", "others", "outcome"),
    [
        (fit(), [], None),
        (fit(0.4, um=8.0), [fit(0.9, um=3, mpp=0.1)], None),
        (fit(0.39), [fit(0.9, um=14.4)], None),
        (fit(0.39, um=9.1), [], SCALE),
        (fit(0.39, um=9.0), [], None),
        (fit(0.3, um=9.1), [fit(0.44, um=7.2, mpp=0.2)], None),
        (fit(0.3, um=9.1), [fit(0.45, um=7.2, mpp=0.19)], SCALE),
        (fit(0.3, um=9.1), [fit(0.45, um=7.2, mpp=0.21)], None),
        (fit(0.02, bodies=18), [fit(0.5, um=7.2, mpp=0.5)], SCALE),
        (fit(0.02, bodies=18, cells=2), [fit(0.5, um=7.2, mpp=0.41)], SCALE),
        (fit(0.02, bodies=55, cells=2), [fit(0.24, bodies=60, mpp=0.5)], HELD),
        (fit(0.02, bodies=55, cells=2), [fit(0.05, bodies=10, mpp=0.5)], HELD),
        (fit(0.19, bodies=60, um=9.5), [], HELD),
        (fit(0.02, bodies=10), [fit(0.1, bodies=10, mpp=0.5)], SCALE),
        (fit(0.02, bodies=10), [fit(0.099, bodies=10, mpp=0.5)], HELD),
        (fit(0.05, bodies=10), [], None),
        (fit(0.049, bodies=10), [], HELD),
        (fit(0.19, bodies=14, um=9.5), [], None),
        (fit(0.2, bodies=14, um=9.5), [], SCALE),
        (fit(0.26, bodies=60, um=9.5, cells=6), [], SCALE),
        (fit(0.26, bodies=60, um=9.5, cells=5), [], None),
    ],
)
def test_which_slides_are_held(
    monkeypatch: pytest.MonkeyPatch,
    stated: RedCellFit,
    others: list[RedCellFit],
    outcome: str | None,
) -> None:
    """At 0.25 um per px; where other scales show more, the best of them counts."""
    monkeypatch.setattr(smear_check, "windows_at", lambda *asked: iter(()))
    monkeypatch.setattr(smear_check, "appearance", lambda tiles: (0.5, 0.5))
    monkeypatch.setattr(smear_check, "fit_at", lambda *asked: stated)
    monkeypatch.setattr(smear_check, "fits_beside", lambda *asked: others)
    said = None
    try:
        check_smear(slide_of(), survey(), 7.2)
    except HeldError as held:
        said = {"content": HELD, "scale": SCALE}[held.code]
    assert said == outcome


def test_what_is_not_judged_and_what_is_too_narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(smear_check, "fit_at", lambda *given: asked.append("fit") or fit())
    monkeypatch.setattr(smear_check, "windows_at", lambda *given: iter(()))
    monkeypatch.setattr(smear_check, "appearance", lambda tiles: (0.5, 0.5))
    check_smear(slide_of(), survey(), 0)
    check_smear(slide_of(), survey(0.005), 7.2)
    check_smear(slide_of(), survey(0.3, share=0.0025), 7.2)
    check_smear(slide_of(63, 0.19), survey(), 7.2)
    assert asked == []
    check_smear(slide_of(), survey(0.3, share=0.005), 7.2)
    check_smear(slide_of(), survey(0.006), 7.2)
    check_smear(slide_of(63, 0.2), survey(), 7.2)
    check_smear(slide_of(120, 0.1), survey(), 7.2)
    assert asked == ["fit"] * 4
    with pytest.raises(HeldError) as held:
        check_smear(slide_of(64, 0.1), survey(), 7.2)
    assert held.value.what == "s.svs: 6.4 um narrow, which holds no cells to judge it by"
    assert held.value.hint == "give a larger field, or the true scale with --mpp-override"


@pytest.mark.parametrize(
    ("side_px0", "bodies", "is_held"),
    [(119, 9, False), (119, 10, True), (121, 6, True), (121, 5, False)],
)
def test_a_narrow_image_needs_more_bodies_as_a_ruler(
    monkeypatch: pytest.MonkeyPatch, side_px0: int, bodies: int, is_held: bool
) -> None:
    monkeypatch.setattr(smear_check, "windows_at", lambda *asked: iter(()))
    monkeypatch.setattr(smear_check, "appearance", lambda tiles: (0.5, 0.5))
    monkeypatch.setattr(smear_check, "fit_at", lambda *a: fit(0.5, bodies, min(bodies, 6), 9.5))
    monkeypatch.setattr(smear_check, "fits_beside", lambda *asked: [])
    if is_held:
        with pytest.raises(HeldError, match="median red cell"):
            check_smear(slide_of(side_px0), survey(), 7.2)
    else:
        check_smear(slide_of(side_px0), survey(), 7.2)

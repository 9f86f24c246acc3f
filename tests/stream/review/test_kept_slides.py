"""A slide that is looked at is read once: a decision does not read it again."""

from stream.review import slides


def test_a_slide_is_read_once_and_its_red_cells_only_where_they_are_asked_for(
    open_lab, monkeypatch
):
    made = []
    monkeypatch.setattr(slides, "JudgedReds", lambda *about: made.append(about) or [])
    lab = open_lab()
    kept = lab.library.shelf(lab.made.slide.slide_id)
    for cell in lab.cells()[:3]:
        about = {"action": "confirm", "cell_ids": [cell], "saw": lab.number()}
        assert lab.one.post(f"{lab.slide}/decisions", about).is_success
    assert lab.library.shelf(lab.made.slide.slide_id) is kept
    assert made == []


def test_slides_that_were_looked_at_long_ago_leave_memory(open_lab):
    lab = open_lab()
    kept = lab.library.shelf(lab.made.slide.slide_id)
    for number in range(slides.KEPT_SLIDES):
        lab.library.shelf(f"{number:08x}")
    assert lab.library.shelf(lab.made.slide.slide_id) is not kept

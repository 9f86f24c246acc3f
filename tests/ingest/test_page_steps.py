"""What is decided about the pages and tiles of a TIFF, at both sides of each limit."""

import gc
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import openslide
import pytest
import tifffile

from ingest import DamagedSlideError, SlideError, open_slide
from ingest.pages import page_content, tiff_pages
from ingest.pages.page_content import are_alike, grey, has_same_content, slices
from ingest.pages.tiff_pages import (
    check_compression,
    check_focus,
    check_further,
    check_tiff,
    check_tiles,
    is_overview,
    side_pages,
)
from ingest.readers import reader, tiff
from ingest.readers.reader import ImageReader, OpenSlideReader, reader_of
from ingest.readers.tiff import TiffReader, fits, page_of
from tests.make import smear

PATH = Path("a.tiff")


def page(width=1000, height=800, **about):
    usual = {
        "imagewidth": width,
        "imagelength": height,
        "subfiletype": 0,
        "is_tiled": True,
        "tilewidth": 256,
        "tilelength": 256,
        "compression": 7,
        "index": 0,
        "pages": None,
        "imagedepth": 1,
    }
    made = SimpleNamespace(**{**usual, **about})
    made.aspage = lambda: made
    return made


def said(check, *about):
    """What is refused, and what to do; nothing where it is not."""
    try:
        check(*about)
    except SlideError as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("width", "height", "kind", "alike", "expected"),
    [
        (250, 200, 0, True, True),
        (250, 200, 0, False, False),
        (700, 560, 0, True, True),
        (701, 561, 0, True, False),
        (701, 561, 1, True, False),
        (700, 100, 1, False, True),
        (700, 100, 3, False, True),
        (1000, 800, 4, False, True),
        (1000, 800, 5, False, True),
        (1000, 800, 2, True, False),
        (500, 412, 0, True, True),
        (500, 413, 0, True, False),
        (500, 389, 0, True, True),
        (500, 388, 0, True, False),
    ],
)
def test_a_page_is_an_overview_or_a_mask(monkeypatch, width, height, kind, alike, expected):
    monkeypatch.setattr(tiff_pages, "has_same_content", lambda *_: alike)
    small = page(width, height, subfiletype=kind)
    assert bool(is_overview(PATH, small, page())) is expected


def test_tiles_that_take_too_much_memory():
    for wide, high, refused in ((4096, 4096, False), (4097, 16, True), (16, 4097, True)):
        text = said(check_tiles, PATH, page(tilewidth=wide, tilelength=high))
        assert text == (
            f"a.tiff: tiles of {wide} x {high} px take too much memory (write it in tiles of 512 "
            "px, at most 4096)"
            if refused
            else ""
        )
    assert said(check_tiles, PATH, page(tilewidth=9999, is_tiled=False)) == ""


@pytest.mark.parametrize(
    ("name", "tiled", "refused"),
    [
        ("JPEG", True, False),
        ("LZMA", True, True),
        ("LZMA", False, False),
        ("WEBP", True, True),
        ("WEBP", False, True),
        *((name, False, name != "LZMA") for name in sorted(tiff_pages.UNREADABLE)),
    ],
)
def test_compressions_that_no_reader_has(name, tiled, refused):
    number = getattr(tifffile.COMPRESSION, name)
    text = said(check_compression, PATH, page(compression=number, is_tiled=tiled))
    assert text == (
        f"a.tiff: its compression {name} is not supported (write it with JPEG, LZW, Deflate or no "
        "compression)"
        if refused
        else ""
    )


def series(shape, keyframe, name="", levels=()):
    return SimpleNamespace(
        shape=shape, keyframe=SimpleNamespace(shape=keyframe), name=name, levels=levels
    )


def test_further_pages_and_planes_are_counted(monkeypatch):
    monkeypatch.setattr(tiff_pages, "has_same_content", lambda *_: False)
    plain = SimpleNamespace(is_ome=False, series=[series((800, 1000, 3), (800, 1000, 3))])
    first = page()
    other, overview, below = page(index=1), page(250, 200, subfiletype=1, index=2), page(999, 700)
    assert said(check_further, PATH, plain, [first, overview]) == ""
    advice = "save each as a file of its own; those of one slide into a folder NAME.fields"
    for pages, count in (([first, other], 2), ([first, other, overview], 3)):
        assert said(check_further, PATH, plain, pages) == (
            f"a.tiff: {count} pages (fields, planes or series), of which only the first would be "
            f"read ({advice})"
        )
    assert said(check_further, PATH, plain, [page(pages=[below])]) == ""
    assert "2 pages" in said(check_further, PATH, plain, [page(pages=[page(1000, 9)])])
    assert "4 pages" in said(check_further, PATH, plain, [first, page(pages=[page(), below])])
    planes = "(export the plane that is in focus as a file of its own)"
    deep = SimpleNamespace(is_ome=False, series=[series((5, 800, 1000, 3), (800, 1000, 3))])
    told = "a.tiff: 5 planes (of focus, time or channel), of which one would be read"
    assert said(check_further, PATH, deep, [first]) == f"{told} {planes}"
    assert "3 planes" in said(check_further, PATH, plain, [page(imagedepth=3)])
    assert said(check_focus, PATH, 1) == "" and said(check_focus, PATH, 2)


def test_pictures_that_ome_names():
    levels = [[page(index=3), None], [page(index=4)]]
    named = [series((1,), (1,), name, levels) for name in ("Label image", "the MACRO")]
    file = SimpleNamespace(is_ome=True, series=[series((1,), (1,), "slide", [[page()]]), *named])
    assert side_pages(file) == {3, 4}
    assert side_pages(SimpleNamespace(is_ome=False, series=file.series)) == set()


@pytest.mark.parametrize("vendor", [None, "generic-tiff", "aperio", "unknown"])
def test_which_checks_a_file_gets_by_its_vendor(monkeypatch, vendor):
    asked, pages = [], [page(), page(index=1)]

    class File:
        def __init__(self, path):
            self.pages = pages

        def __enter__(self):
            return self

        def __exit__(self, *_):
            asked.append("closed")

    monkeypatch.setattr(tiff_pages.tifffile, "TiffFile", File)
    for name in ("check_tiles", "check_compression", "check_further", "check_focus"):
        monkeypatch.setattr(tiff_pages, name, lambda *_, name=name: asked.append(name))
    check_tiff(PATH, vendor)
    further = ["check_compression", "check_further"]
    own = further if vendor in (None, "generic-tiff") else ["check_focus"]
    assert asked == ["check_tiles", "check_tiles", *own, "closed"]


def test_of_what_is_no_tiff_nothing_is_said(tmp_path):
    (tmp_path / "a.tiff").write_text("no slide")
    check_tiff(tmp_path / "a.tiff", None)


def noise(shape, seed):
    return np.random.default_rng(seed).normal(128, 30, shape).astype(np.float32)


def test_patches_are_alike_from_a_correlation_of_a_half_on():
    """The mean over each square of the larger one is compared, whatever the sizes divide."""
    small = noise((20, 24), 0)
    large = np.kron(small, np.ones((4, 4), np.float32))
    other = noise((20, 24), 1)
    assert are_alike(small, large) and not are_alike(other, large)
    found = [are_alike(share * small + (1 - share) * other, large) for share in (0.3, 0.34, 0.4)]
    truth = [
        np.corrcoef((share * small + (1 - share) * other).ravel(), small.ravel())[0, 1] > 0.5
        for share in (0.3, 0.34, 0.4)
    ]
    assert found == truth == [False, False, True]
    ragged = np.repeat(np.repeat(small, 3, axis=0), 3, axis=1)[:, :-2]
    assert are_alike(small, ragged)
    assert not are_alike(small, np.roll(large, 8, axis=0))
    for spread, expected in ((5.0, True), (7.0, False)):
        flat, flat_too = (128 + (noise((20, 24), n) - 128) * spread / 30 for n in (2, 3))
        assert are_alike(flat, flat_too) is expected
    assert not are_alike(np.full((20, 24), 128, np.float32), large)


def test_grey_is_the_mean_of_the_channels():
    pixels = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
    assert np.array_equal(grey(pixels), pixels.mean(axis=2)) and grey(pixels).dtype == np.float32
    assert np.array_equal(grey(pixels[..., 0]), pixels[..., 0])
    assert slices((3, 5, 4)) == (slice(5, 9), slice(3, 7))


def test_three_places_of_two_pages_are_compared(monkeypatch):
    boxes, compared = [], []
    monkeypatch.setattr(
        page_content, "tile_region", lambda path, box: boxes.append(box) or np.zeros((4, 4))
    )
    monkeypatch.setattr(
        page_content, "are_alike", lambda a, b: bool(compared.append((a.shape, b.shape)) or True)
    )
    thumb = np.zeros((100, 200, 3), np.uint8)
    small = page(200, 100, asarray=lambda: thumb)
    assert has_same_content(PATH, small, page(1000, 500))
    assert boxes == [(170, 45, 320), (340, 90, 320), (510, 135, 320)]
    assert compared == [((64, 64), (4, 4))] * 3
    compared.clear()
    whole = page(1000, 500, is_tiled=False, asarray=lambda: np.zeros((500, 1000), np.uint8))
    assert has_same_content(PATH, small, whole) and len(boxes) == 3
    assert compared == [((64, 64), (320, 320))] * 3
    flags = iter([True, False, True])
    monkeypatch.setattr(page_content, "are_alike", lambda *_: next(flags))
    assert not has_same_content(PATH, small, whole)
    narrow = page(200, 30, asarray=lambda: thumb[:30])
    boxes.clear()
    monkeypatch.setattr(page_content, "are_alike", lambda *_: True)
    has_same_content(PATH, narrow, page(1000, 150))
    assert boxes == [(210, 0, 150), (425, 0, 150), (635, 0, 150)]


# tiles that are decoded here


@pytest.fixture(scope="module")
def slide(tmp_path_factory):
    path = tmp_path_factory.mktemp("slide") / "smear.tiff"
    smear(path, side_px=600, whites=1)
    return open_slide(path)


def test_tiles_that_are_missing_or_beyond_are_white(slide):
    one = TiffReader(slide)
    white = np.full((256, 256, 3), 255, np.uint8)
    for row, col, is_white in ((0, 0, False), (2, 2, False), (0, 3, True), (3, 0, True)):
        assert np.array_equal(one.decoded(0, row, col), white) is is_white
    edge = one.decoded(0, 2, 2)
    assert edge.shape == (256, 256, 3)
    real = one.pages[0]
    counts = list(real.databytecounts)
    seen = []

    def decode(data, index, jpegtables):
        seen.append((len(data), index))
        return np.zeros((1, 20, 30, 3), np.uint8), None, None

    one.pages[0] = SimpleNamespace(
        tilewidth=256,
        tilelength=256,
        imagewidth=600,
        imagelength=600,
        databytecounts=[*counts[:4], 0, *counts[5:]],
        dataoffsets=real.dataoffsets,
        jpegtables=None,
        decode=decode,
    )
    assert np.array_equal(one.decoded(0, 1, 1), white) and seen == []
    small = one.decoded(0, 1, 2)
    assert seen == [(counts[5], 5)]
    assert (
        (small[:20, :30] == 0).all() and (small[20:] == 255).all() and (small[:, 30:] == 255).all()
    )


def test_a_tile_that_cannot_be_decoded_is_named(slide, monkeypatch):
    one = TiffReader(slide)
    monkeypatch.setattr(tiff.os, "pread", lambda *_: b"short")
    with pytest.raises(SlideError) as cut:
        one.decoded(1, 0, 1)
    assert str(cut.value) == (
        "cannot decode the tile (0, 1) of level 1: the file ends before it (scan the slide again)"
    )

    def fail(*_):
        raise OSError("Input/output error")

    monkeypatch.setattr(tiff.os, "pread", fail)
    with pytest.raises(
        SlideError, match=r"the tile \(0, 1\) of level 1: Input/output error"
    ) as bad:
        one.decoded(1, 0, 1)
    assert isinstance(bad.value.__cause__, OSError)


def test_so_many_tiles_are_kept_as_fit_into_the_cache(slide):
    one = TiffReader(slide)
    assert one.tile.cache_info().maxsize == (64 << 20) // (3 * 256 * 256)
    first = one.read(0, 0, 0, (300, 300))
    assert one.tile.cache_info().misses == 4
    assert np.array_equal(one.read(0, 0, 0, (300, 300)), first)
    assert one.tile.cache_info().hits == 4
    file = one.file
    del one
    gc.collect()
    assert file.filehandle.closed


@pytest.mark.parametrize(
    ("about", "expected"),
    [
        ({}, True),
        ({"is_tiled": False}, False),
        ({"samplesperpixel": 4}, False),
        ({"bitspersample": 16}, False),
        ({"planarconfig": tifffile.PLANARCONFIG.SEPARATE}, False),
        ({"photometric": tifffile.PHOTOMETRIC.MINISBLACK}, False),
        ({"photometric": tifffile.PHOTOMETRIC.YCBCR}, True),
        ({"compression": tifffile.COMPRESSION.NONE}, True),
        ({"compression": tifffile.COMPRESSION.LZW}, False),
    ],
)
def test_pages_whose_tiles_are_decoded_here(about, expected):
    usual = {
        "samplesperpixel": 3,
        "bitspersample": 8,
        "planarconfig": tifffile.PLANARCONFIG.CONTIG,
        "photometric": tifffile.PHOTOMETRIC.RGB,
        "compression": tifffile.COMPRESSION.JPEG,
    }
    one = page(**{**usual, **about})
    assert fits(one) is expected
    level = SimpleNamespace(width_px=1000, height_px=800)
    other = page(999, 800, **usual)
    file = SimpleNamespace(pages=[other, page(50, 40, pages=[one], **usual)])
    if expected:
        assert page_of(file, level) is one
    else:
        with pytest.raises(StopIteration):
            page_of(file, level)


def test_what_cannot_be_read_as_plain_tiles(tmp_path):
    (tmp_path / "a.tiff").write_text("no slide")
    with pytest.raises(SlideError) as refused:
        TiffReader(SimpleNamespace(path=tmp_path / "a.tiff", levels=()))
    assert refused.value.what.startswith(f"{tmp_path}/a.tiff: no plain tiled TIFF: ")
    assert refused.value.hint == "leave it to OpenSlide"


def test_a_handle_that_failed_is_opened_anew(slide, monkeypatch):
    one = OpenSlideReader(slide)
    good = one.handle

    def fail(*_):
        raise openslide.OpenSlideError("latched")

    one.handle = SimpleNamespace(read_region=fail)
    with pytest.raises(SlideError) as failed:
        one.read(3, 4, 1, (5, 6))
    assert str(failed.value) == (
        "cannot decode the place (3, 4) of level 1: latched (scan the slide again)"
    )
    assert one.handle is None and one.read(0, 0, 0, (7, 5)).shape == (5, 7, 3)
    assert one.handle is not None and one.handle is not good
    sizes = []
    monkeypatch.setattr(
        reader.openslide, "OpenSlideCache", lambda size: sizes.append(size) or one.cache
    )
    OpenSlideReader(slide)
    assert sizes == [64 << 20]


def test_files_that_cannot_be_opened_say_so(tmp_path, monkeypatch):
    (tmp_path / "a.png").write_text("no image")
    field = SimpleNamespace(path=tmp_path / "a.png")
    with pytest.raises(DamagedSlideError) as damaged:
        ImageReader(field)
    assert damaged.value.what.startswith(f"{tmp_path}/a.png: cannot be decoded: ")
    assert damaged.value.hint == "copy it again from the microscope"

    def fail(_):
        raise openslide.OpenSlideError("torn")

    monkeypatch.setattr(reader, "open_levels", fail)
    known = next(iter(k for k, v in reader.FORMATS.items() if v.opener.endswith("open_levels")))
    with pytest.raises(DamagedSlideError) as damaged:
        reader_of.__wrapped__(SimpleNamespace(path=PATH, reader=known))
    assert str(damaged.value) == ("a.tiff: cannot be opened: torn (copy it again from the scanner)")

"""Paths as a worker of another machine sees them."""

from functools import partial
from itertools import permutations
from pathlib import Path

import pytest

from ingest import CytostreamError, HeldError, SlideError
from ingest.slide import Slide
from ingest.workers.mounts import as_there, error_here, path_there
from segment import Scan

SCANS, FAST = (Path("/srv/scans"), Path("/mnt/scans")), (Path("/srv/scans/fast"), Path("/ssd"))


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ("/srv/scans/a/1.svs", "/mnt/scans/a/1.svs"),
        ("/srv/scans", "/mnt/scans"),
        ("/srv/scans/fast/2.svs", "/ssd/2.svs"),
        ("/srv/scans-old/3.svs", "/srv/scans-old/3.svs"),
        ("/data/4.svs", "/data/4.svs"),
        ("5.svs", "5.svs"),
    ],
)
def test_the_longest_folder_counts(here, there):
    for mounts in ((SCANS, FAST), (FAST, SCANS)):
        assert path_there(Path(here), mounts) == Path(there)


def slide_at(path):
    return Slide("s1", path, 10, 20, 0.25, (), "", "", "openslide")


def test_every_path_in_the_work_is_that_of_the_worker():
    slide = slide_at(Path("/srv/scans/1.svs"))
    given = partial(Path.joinpath, Path("/srv/scans")), (slide, {"parts": [Path("/srv/scans/1")]})
    function, (moved, parts) = as_there(given, (SCANS,))
    assert function("x") == Path("/mnt/scans/x")
    assert moved == slide_at(Path("/mnt/scans/1.svs")) and parts["parts"] == [Path("/mnt/scans/1")]
    assert slide.path == Path("/srv/scans/1.svs")


def test_a_method_takes_its_slide_along():
    scan = Scan(slide_at(Path("/srv/scans/1.svs")), None, None, ())
    assert as_there(scan.cells_in, (SCANS,)).__self__.slide.path == Path("/mnt/scans/1.svs")


@pytest.mark.parametrize(
    "error",
    [
        SlideError("/mnt/scans/1.svs: damaged", "copy it"),
        HeldError("/mnt/scans/1.svs: no scale", "say it", "scale", "0.1 um"),
        CytostreamError("a fault"),
    ],
)
def test_what_a_worker_says_names_paths_of_this_machine(error):
    found = error_here(error, (SCANS,))
    assert type(found) is type(error) and found.hint == error.hint
    assert found.what == error.what.replace("/mnt/", "/srv/")
    assert getattr(found, "code", "") == getattr(error, "code", "")


@pytest.mark.parametrize(
    ("there", "here"),
    [
        ("/mnt/scans/fast/2.svs: damaged", "/ssd/2.svs: damaged"),
        ("/mnt/scans/fast: is the share there?", "/ssd: is the share there?"),
        ("/mnt/scans/1.svs and '/mnt/scans/fast/2'", "/srv/scans/1.svs and '/ssd/2'"),
        ("/mnt/scans-old/1, /data/mnt/scans/1", "/mnt/scans-old/1, /data/mnt/scans/1"),
        ("/srv/new/3.svs", "/mnt/scans/3.svs"),
    ],
)
def test_in_what_a_worker_says_the_longest_folder_counts_too(there, here):
    scans, fast = (Path("/srv/scans"), Path("/mnt/scans")), (Path("/ssd"), Path("/mnt/scans/fast"))
    swapped = (Path("/mnt/scans"), Path("/srv/new"))
    for mounts in permutations((scans, fast, swapped)):
        assert error_here(CytostreamError(there), mounts).what == here

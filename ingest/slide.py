"""A slide as facts: no open handle, so that it travels to workers and into events."""

import errno
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import openslide
from PIL import Image, UnidentifiedImageError

from .errors import DamagedSlideError, SlideAwayError, SlideError, UnreadableSlideError
from .pages import OVERVIEW, check_focus, check_tiff
from .part_lists import stated_planes
from .scale import settled_mpp, stated_by_image, stated_by_slide
from .scan_time import scan_time
from .slide_files import check_files, content_id, file_state, files_of
from .specimen_codes import SpecimenCode, specimen_codes

WHOLE_SLIDES = {
    ".svs",
    ".ndpi",
    ".mrxs",
    ".scn",
    ".bif",
    ".vms",
    ".vmu",
    ".svslide",
    ".dcm",
    ".czi",
}
IMAGES = {".png", ".jpg", ".jpeg", ".tif", ".tiff"}
NO_ID = ""  # of facts that `open_slide` gives the id of the content
IMAGE_PX_MAX = 250_000_000
Image.MAX_IMAGE_PIXELS = (
    IMAGE_PX_MAX  # Pillow's own limit is lower than the one that is stated here
)


@dataclass(frozen=True, slots=True)
class Level:
    """One resolution of the pyramid; `downsample` is level-0 px a pixel."""

    width_px: int
    height_px: int
    downsample: float

    @property
    def whole(self) -> bool:
        """Whether its pixels are whole squares of level-0 px; others would have to be resampled,
        and are not read for cells.
        """
        return self.downsample == int(self.downsample)


@dataclass(frozen=True, slots=True)
class Slide:
    """Facts of one whole-slide image or plain field of view.

    `slide_id` is a digest of the content of all its files: the same slide under another name is the
    same slide. `reader` is its format, a key of `FORMATS`. `file_state` is that of its
    files when it was opened. `origin_px0` is the corner (x, y) of the scanned area, where the file
    names one (MRXS, SCN): viewers such as QuPath show that area alone, and count from there.
    `codes` are those of the specimen that the file states; they may name a patient.
    `scanned_at` is the time, or the date alone, in ISO 8601; empty where the file does not say.
    """

    slide_id: str
    path: Path
    width_px0: int
    height_px0: int
    mpp: float
    levels: tuple[Level, ...]
    vendor: str
    scanner: str
    reader: str
    file_state: str = ""
    origin_px0: tuple[int, int] = (0, 0)
    codes: tuple[SpecimenCode, ...] = ()
    scanned_at: str = ""


@dataclass(frozen=True, slots=True)
class SlideRequest:
    """What facts are read of: the slide's path, all its files, and the scales that a person gave
    (`mpp` for a file that does not say, `override` for any), in um per level-0 px.
    """

    path: Path
    files: tuple[Path, ...]
    mpp: float | None = None
    override: float | None = None


def read_facts(request: SlideRequest) -> Slide:
    """The facts of a slide, without the id of its content. Decoders look at the file here, so that
    a file which hangs or crashes one does so where this runs.

    Raises:
        SlideError: as `open_slide`.
    """
    path = request.path
    with slide_errors(path):
        check_focus(path, stated_planes(path))
        check_tiff(path, openslide.OpenSlide.detect_format(path))
        return format_of(path).facts(path, request.files, request.mpp, request.override)


def open_slide(
    path: Path,
    mpp: float | None = None,
    override: float | None = None,
    read: Callable[[SlideRequest], Slide] = read_facts,
) -> Slide:
    """Read the facts of any slide that OpenSlide reads, or of a PNG, JPEG or TIFF field of view.

    `mpp` (um per level-0 px) stands in for a file that does not say; `override` overrules one that
    does. `read` is `read_facts`, or that function called in another process.

    Raises:
        SlideAwayError: its file is not there.
        IncompleteSlideError: a part of it is not there.
        DamagedSlideError: its content is at fault.
        UnreadableSlideError: the system does not give its content.
        SlideError: no slide or image, of several images, or without a believable mpp.
        CytostreamError: whatever `read` raises besides.
    """
    path = Path(path)
    with slide_errors(path):
        files = check_file(path)
        state = file_state(files)
        slide = read(SlideRequest(path, files, mpp, override))
        slide = replace(slide, slide_id=slide.slide_id or content_id(files), file_state=state)
        if file_state(files_of(path)) != state:
            raise SlideAwayError(
                f"{path}: changed while it was read", "wait until it is written, then try again"
            )
        return slide


@contextmanager
def slide_errors(path: Path) -> Iterator[None]:
    """Raises what a system or a decoder says of a slide as an error of the slide."""
    try:
        yield
    except openslide.OpenSlideError as error:
        what = f"{path}: damaged or not readable: {error}"
        raise DamagedSlideError(what, "copy it again from the scanner") from error
    except FileNotFoundError as error:
        raise SlideAwayError(
            f"{path}: no such file", "is the disk or the share still there?"
        ) from error
    except OSError as error:
        raise UnreadableSlideError(f"{path}: {error.strerror or error}", hint_of(error)) from error


def format_of(path: Path) -> "SlideFormat":
    """The format that a file is read as; a plain image where no other takes it."""
    return next((one for one in FORMATS.values() if one.detects(path)), FORMATS["image"])


def slide_suffixes() -> set[str]:
    """The suffixes, in lower case, by which a folder's files are taken for slides."""
    return set[str]().union(*(one.suffixes for one in FORMATS.values()))


def whole_slide_suffixes() -> set[str]:
    """Those of slides that are more than a picture."""
    return slide_suffixes() - IMAGES


def hint_of(error: OSError) -> str:
    """What to do about a file that the system does not give."""
    if error.errno in (errno.EACCES, errno.EPERM):
        return "give this user the right to read it"
    if error.errno == errno.ENAMETOOLONG:
        return "check the path, or give the file a shorter name"
    return "is the disk or the share still there?"


def check_file(path: Path) -> tuple[Path, ...]:
    """The files of the slide, all of which are there."""
    if path.is_dir():
        raise SlideError(f"{path}: a folder, not a slide", "name the slides, or FOLDER/*.svs")
    files = files_of(path)
    check_files(path, files)
    if path.stat().st_size == 0:
        raise SlideError(f"{path}: zero bytes", "is the scanner still writing it?")
    return files


def facts_of_slide(
    path: Path, _files: Sequence[Path], mpp: float | None, override: float | None
) -> Slide:
    with openslide.OpenSlide(path) as handle:
        properties = handle.properties
        levels = tuple(
            Level(w, h, round(d, 3))
            for (w, h), d in zip(handle.level_dimensions, handle.level_downsamples, strict=True)
        )
        return Slide(
            NO_ID,
            path.resolve(),
            *handle.dimensions,
            settled_mpp(path, stated_by_slide(path, properties), mpp, override),
            levels,
            properties.get("openslide.vendor", "unknown"),
            scanner_of(properties),
            "openslide",
            origin_px0=origin_of(properties),
            codes=specimen_codes(properties),
            scanned_at=scan_time(properties),
        )


def origin_of(properties: Mapping[str, str]) -> tuple[int, int]:
    """The corner (x, y) in level-0 px of the area that OpenSlide says was scanned."""
    x, y = (int(float(properties.get(f"openslide.bounds-{axis}", 0))) for axis in "xy")
    return x, y


def scanner_of(properties: Mapping[str, str]) -> str:
    """Make and model of the scanner, never its operator, patient or slide label."""
    names = (
        "aperio.ScanScope ID",
        "hamamatsu.Product",
        "tiff.Model",
        "dicom.ManufacturerModelName",
    )
    return next((properties[n] for n in names if properties.get(n)), "unknown")


def facts_of_image(
    path: Path, _files: Sequence[Path], mpp: float | None, override: float | None
) -> Slide:
    try:
        with (
            warnings.catch_warnings(action="ignore"),
            Image.open(path) as image,
        ):  # an error says it
            width, height = image.size
            if width * height > IMAGE_PX_MAX:
                raise SlideError(
                    f"{path}: {width} x {height} px without a pyramid",
                    "convert it to a tiled pyramidal TIFF",
                )
            if image.mode.startswith(("I", "F")):
                raise SlideError(f"{path}: {image.mode} pixels", "give an 8-bit RGB image")
            if image.format != "TIFF":
                check_frames(path, image)
            settled = settled_mpp(path, stated_by_image(path, image), mpp, override)
            image.verify()
    except Image.DecompressionBombError as error:
        what = f"{path}: more than {IMAGE_PX_MAX // 1_000_000} million px without a pyramid"
        raise SlideError(what, "convert it to a tiled pyramidal TIFF") from error
    except (UnidentifiedImageError, OSError, SyntaxError, TypeError, ValueError, KeyError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise
        raise DamagedSlideError(
            f"{path}: not a slide or image that can be read", "see the README for the formats"
        ) from error
    return Slide(
        NO_ID,
        path.resolve(),
        width,
        height,
        settled,
        (Level(width, height, 1.0),),
        "image",
        "unknown",
        "image",
    )


def check_frames(path: Path, image: Image.Image) -> None:
    """Raises SlideError for further images; what cameras lay into a JPEG beside the picture (a
    preview, a map of gains) is smaller than it.
    """
    frames = getattr(image, "n_frames", 1)
    further = list(range(1, frames))
    if image.format == "MPO":
        width = image.width
        further = [frame for frame in further if width_of(image, frame) > OVERVIEW * width]
        image.seek(0)
    if further:
        what = f"{path}: {frames} images, of which only the first would be read"
        raise SlideError(what, "save each as a file of its own")


def width_of(image: Image.Image, frame: int) -> int:
    image.seek(frame)
    return image.width


@dataclass(frozen=True, slots=True)
class SlideFormat:
    """A format of slides: the suffixes of its files, how a file of it is recognised, how its facts
    are read (where they name no id, the slide gets that of its content), and what opens its pixels
    in a worker ("module:function", imported there alone).
    """

    suffixes: frozenset[str]
    detects: Callable[[Path], bool]
    facts: Callable[[Path, Sequence[Path], float | None, float | None], Slide]
    opener: str


def is_openslide(path: Path) -> bool:
    """Whether OpenSlide knows the file."""
    return openslide.OpenSlide.detect_format(path) is not None


def is_other(_path: Path) -> bool:
    """A plain image is what no other format takes."""
    return False


# By the name that a slide and its events state as `reader`. One more format of one file a slide is
# a module with its facts and its reader, its test, and a line here.
FORMATS: dict[str, SlideFormat] = {
    "openslide": SlideFormat(
        frozenset(WHOLE_SLIDES), is_openslide, facts_of_slide, "ingest.readers.reader:open_levels"
    ),
    "image": SlideFormat(
        frozenset(IMAGES), is_other, facts_of_image, "ingest.readers.reader:ImageReader"
    ),
}

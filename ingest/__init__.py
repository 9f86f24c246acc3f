from .deep_zoom import VIEW_PX, associated_image, view_levels, view_tile
from .errors import (
    CytostreamError,
    DamagedSlideError,
    HeldError,
    IncompleteSlideError,
    SlideAwayError,
    SlideError,
    StoreError,
    UnreadableSlideError,
)
from .failure import Failure
from .folder_look import (
    FolderLook,
    ScannerConventions,
    SlideFiles,
    look_at_folder,
    matches,
    slide_at,
    slides_beside,
    slides_in,
)
from .folder_watch import SlideArrival, Watcher, markers
from .part_lists import mrxs_folder
from .readers import READ_MPP, openslide_version, read_grid, step_px0
from .scale import MPP_RANGE
from .seams import Seams, seams_of
from .slide import (
    IMAGES,
    WHOLE_SLIDES,
    Level,
    Slide,
    SlideRequest,
    check_file,
    open_slide,
    read_facts,
)
from .slide_files import content_id, file_state, files_of, sample_digest
from .smear_map import (
    SmearMap,
    SmearZone,
    battlement,
    map_smear,
    sample_fields,
    thumbnail,
    whole_field,
)
from .specimen_codes import SpecimenCode
from .survey import StainMask, Survey, background_of, stain_samples, survey_slide
from .tiles import Tile, TileSpec, plan_tiles, read_tile
from .workers import Scheduler, SerialWorkers, Workers, open_workers

__all__ = [
    "MPP_RANGE",
    "CytostreamError",
    "DamagedSlideError",
    "Failure",
    "FolderLook",
    "SmearZone",
    "IMAGES",
    "HeldError",
    "IncompleteSlideError",
    "Level",
    "READ_MPP",
    "ScannerConventions",
    "Scheduler",
    "SerialWorkers",
    "Slide",
    "Seams",
    "SlideArrival",
    "SlideAwayError",
    "SlideError",
    "SlideFiles",
    "SlideRequest",
    "SpecimenCode",
    "StainMask",
    "SmearMap",
    "StoreError",
    "Survey",
    "Tile",
    "TileSpec",
    "UnreadableSlideError",
    "VIEW_PX",
    "WHOLE_SLIDES",
    "Watcher",
    "Workers",
    "background_of",
    "battlement",
    "associated_image",
    "check_file",
    "content_id",
    "file_state",
    "files_of",
    "look_at_folder",
    "map_smear",
    "markers",
    "matches",
    "mrxs_folder",
    "open_slide",
    "open_workers",
    "openslide_version",
    "plan_tiles",
    "read_facts",
    "read_grid",
    "read_tile",
    "sample_digest",
    "sample_fields",
    "seams_of",
    "slide_at",
    "slides_beside",
    "slides_in",
    "stain_samples",
    "step_px0",
    "survey_slide",
    "thumbnail",
    "view_levels",
    "view_tile",
    "whole_field",
]

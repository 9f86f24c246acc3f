"""Builder: a small slide as a DICOM series of one tiled image, without compression."""

from pathlib import Path

import numpy as np
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

TILE_PX = 256
WHOLE_SLIDE = "1.2.840.10008.5.1.4.1.1.77.1.6"


def write_dicom_slide(path: Path, rgb: np.ndarray, mpp: float, **about: str) -> Path:
    """Writes pixels (h, w, 3) uint8 at `mpp` um a px; `about` are attributes of patient, study."""
    high, wide = (-(-side // TILE_PX) for side in rgb.shape[:2])
    padding = [(0, high * TILE_PX - rgb.shape[0]), (0, wide * TILE_PX - rgb.shape[1]), (0, 0)]
    tiles = np.pad(rgb, padding).reshape(high, TILE_PX, wide, TILE_PX, 3).swapaxes(1, 2)
    header = FileMetaDataset()
    header.MediaStorageSOPClassUID = WHOLE_SLIDE
    header.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=[path.name])
    header.TransferSyntaxUID = ExplicitVRLittleEndian
    image = Dataset()
    image.file_meta = header
    image.SOPClassUID = WHOLE_SLIDE
    image.SOPInstanceUID = header.MediaStorageSOPInstanceUID
    image.StudyInstanceUID = generate_uid(entropy_srcs=[path.name, "study"])
    image.SeriesInstanceUID = generate_uid(entropy_srcs=[path.name, "series"])
    image.FrameOfReferenceUID = generate_uid(entropy_srcs=[path.name, "frame"])
    image.Modality = "SM"
    image.ImageType = ["ORIGINAL", "PRIMARY", "VOLUME", "NONE"]
    image.PatientID = "P-1"
    image.PatientName = "Ito^Anna"
    image.StudyDate = "20261128"
    image.AccessionNumber = "A-7"
    for name, value in about.items():
        setattr(image, name, value)
    image.ContainerIdentifier = "S-1"
    image.SpecimenDescriptionSequence = [Dataset()]
    image.SpecimenDescriptionSequence[0].SpecimenIdentifier = "S-1"
    image.SpecimenDescriptionSequence[0].SpecimenUID = generate_uid(
        entropy_srcs=[path.name, "specimen"]
    )
    image.TotalPixelMatrixRows, image.TotalPixelMatrixColumns = rgb.shape[:2]
    image.Rows = image.Columns = TILE_PX
    image.NumberOfFrames = high * wide
    image.TotalPixelMatrixFocalPlanes = 1
    image.DimensionOrganizationType = "TILED_FULL"
    image.SamplesPerPixel = 3
    image.PhotometricInterpretation = "RGB"
    image.PlanarConfiguration = 0
    image.BitsAllocated = image.BitsStored = 8
    image.HighBit = 7
    image.PixelRepresentation = 0
    image.ImagedVolumeWidth = rgb.shape[1] * mpp / 1000
    image.ImagedVolumeHeight = rgb.shape[0] * mpp / 1000
    measures = Dataset()
    measures.PixelSpacing = [mpp / 1000, mpp / 1000]
    shared = Dataset()
    shared.PixelMeasuresSequence = [measures]
    image.SharedFunctionalGroupsSequence = [shared]
    image.PixelData = tiles.tobytes()
    image.save_as(path, enforce_file_format=True)
    return path

"""Builder: a Leica SCN, whose scanned area lies somewhere in a larger collection."""

from pathlib import Path

import numpy as np
import tifffile

NM_A_PX = 250
MACRO_PX = 64
_IMAGE = """<image name="{name}" uuid="urn:uuid:00000000-0000-0000-0000-00000000000{name}">
<creationDate>2012-01-01T00:00:00Z</creationDate><device model="Leica SCN400" version="1"/>
<pixels sizeX="{wide}" sizeY="{high}">
<dimension sizeX="{wide}" sizeY="{high}" r="0" ifd="{page}"/></pixels>
<view sizeX="{wide_nm}" sizeY="{high_nm}" offsetX="{x_nm}" offsetY="{y_nm}"/>
<scanSettings><objectiveSettings><objective>{objective}</objective></objectiveSettings>
<illuminationSettings><numericalAperture>0.65</numericalAperture>
<illuminationSource>brightfield</illuminationSource></illuminationSettings></scanSettings></image>"""


def write_scn(
    path: Path, pixels: np.ndarray, corner_px0: tuple[int, int], whole_px0: tuple[int, int]
) -> None:
    """RGB uint8 (h, w, 3) as the area at a corner (x, y) of a collection of `whole_px0` px."""
    high, wide = pixels.shape[:2]
    x_nm, y_nm = (value * NM_A_PX for value in corner_px0)
    whole_nm = tuple(value * NM_A_PX for value in whole_px0)
    area = _IMAGE.format(
        name=1,
        wide=wide,
        high=high,
        page=0,
        wide_nm=wide * NM_A_PX,
        high_nm=high * NM_A_PX,
        x_nm=x_nm,
        y_nm=y_nm,
        objective=40,
    )
    macro = _IMAGE.format(
        name=2,
        wide=MACRO_PX,
        high=MACRO_PX,
        page=1,
        wide_nm=whole_nm[0],
        high_nm=whole_nm[1],
        x_nm=0,
        y_nm=0,
        objective=1,
    )
    text = (
        '<?xml version="1.0"?><scn xmlns="http://www.leica-microsystems.com/scn/2010/10/01" '
        'uuid="urn:uuid:00000000-0000-0000-0000-000000000000"><collection name="c" '
        'uuid="urn:uuid:00000000-0000-0000-0000-000000000003" '
        f'sizeX="{whole_nm[0]}" sizeY="{whole_nm[1]}"><barcode>x</barcode>{macro}{area}'
        "</collection></scn>"
    )
    options = {
        "photometric": "rgb",
        "compression": "jpeg",
        "tile": (128, 128),
        "metadata": None,
        "resolution": (1e7 / NM_A_PX,) * 2,
        "resolutionunit": "CENTIMETER",
    }
    with tifffile.TiffWriter(path) as file:
        file.write(pixels, description=text, **options)
        file.write(np.full((MACRO_PX, MACRO_PX, 3), 240, np.uint8), **options)

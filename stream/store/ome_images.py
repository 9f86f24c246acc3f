"""The crops of a slide and the label images beside them, as OME-NGFF 0.5 has them: the store is an
image whose array is `crop`, with `labels/NAME/0` in it. A stack of images has the axis of time, the
only one beside channel and space that the format has: along it are the cells.
"""

from collections.abc import Sequence

import zarr

from stream.events import JsonObject

VERSION = "0.5"
IMAGE_AXES = ("t", "c", "y", "x")
LABEL_AXES = ("t", "y", "x")
_TYPES = {"t": {"type": "time"}, "c": {"type": "channel"}}
_SPACE = {"type": "space", "unit": "micrometer"}
_COLOURS = [[70, 130, 220, 255], [130, 60, 170, 255], [200, 80, 80, 255]]


def mark_image(group: zarr.Group, name: str, mpp: float) -> None:
    """The metadata that OME-NGFF wants of a stack (n, c, h, w) of images at `mpp` um/px."""
    group.attrs["ome"] = {
        "version": VERSION,
        "multiscales": [multiscale_of("crops of cells", name, IMAGE_AXES, mpp)],
    }


def mark_labels(
    group: zarr.Group, name: str, mpp: float, values: Sequence[str], source: str = ""
) -> None:
    """The metadata that OME-NGFF wants of a stack (n, h, w) of labels at `mpp` um/px; label i + 1
    is `values[i]`, and without values each number is one object. `source` is the path of the image.
    """
    labels = group.require_group("labels")
    known: JsonObject = dict(labels.attrs)
    names = {*known.get("ome", {}).get("labels", []), name}
    labels.attrs["ome"] = {"version": VERSION, "labels": sorted(names)}
    labels.require_group(name).attrs["ome"] = {
        "version": VERSION,
        "multiscales": [multiscale_of(name, "0", LABEL_AXES, mpp)],
        "image-label": image_label_of(values, source),
    }


def multiscale_of(name: str, path: str, axes: Sequence[str], mpp: float) -> JsonObject:
    """One level, the array at `path`; um a pixel in space, 1 along the others."""
    scale = [1.0 if axis in _TYPES else mpp for axis in axes]
    return {
        "name": name,
        "axes": [{"name": axis, **_TYPES.get(axis, _SPACE)} for axis in axes],
        "datasets": [
            {"path": path, "coordinateTransformations": [{"type": "scale", "scale": scale}]}
        ],
    }


def image_label_of(values: Sequence[str], source: str) -> JsonObject:
    about: JsonObject = {"source": {"image": source}} if source else {}
    if values:
        about["colors"] = [
            {"label-value": i + 1, "rgba": _COLOURS[i % len(_COLOURS)]} for i in range(len(values))
        ]
        about["properties"] = [
            {"label-value": i + 1, "class": value} for i, value in enumerate(values)
        ]
    return about

"""Label images beside the crops, as OME-NGFF 0.5 has them: `labels/NAME/0`, a stack of images that
say what is where.
"""

from collections.abc import Sequence

import zarr

from stream.events import JsonObject

VERSION = "0.5"
_COLOURS = [[70, 130, 220, 255], [130, 60, 170, 255], [200, 80, 80, 255]]


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
        "multiscales": [multiscale_of(name, mpp)],
        "image-label": image_label_of(values, source),
    }


def multiscale_of(name: str, mpp: float) -> JsonObject:
    space = [{"name": axis, "type": "space", "unit": "micrometer"} for axis in "yx"]
    scale = {"type": "scale", "scale": [1.0, mpp, mpp]}
    return {
        "name": name,
        "axes": [{"name": "item"}, *space],
        "datasets": [{"path": "0", "coordinateTransformations": [scale]}],
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

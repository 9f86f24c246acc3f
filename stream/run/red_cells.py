"""Red cells of a slide: its sampled fields measured by the workers, the separate ones judged,
kept in its store, summed up for its event.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import chain

import numpy as np

from classify import Engine, Model, Verdict, judge
from ingest import CytostreamError, Workers
from segment import Outlook, RedCrops, RedField, summary_of
from stream.config import RedCells
from stream.events import JsonObject
from stream.store import ResultWriter, SlideStore

from .red_morphology import (
    OTHER_KIND,
    JudgedRed,
    estimates_of,
    leading_finding,
    relative_to_normal,
    shares_of,
)

RED_CELL_LABELS = "labels/red/0"
BOXES = "reds/field_box_px0"
RED_KIND_COLUMN = "reds/label"
RED_CROPS = "reds/crop"  # of those that were judged, in the order of the rows
LONG_ROUNDNESS = 0.5  # 4 area / (pi major axis^2): a cell below it is twice as long as wide
FieldPlace = tuple[int, int]  # number of the field, of the cell in it


@dataclass(frozen=True, slots=True)
class RedJudge:
    """The red-cell model and what runs it."""

    model: Model
    engine: Engine

    def crops_of(self, fields: int, most: int) -> RedCrops:
        """What to cut out of each of `fields` so that `most` cells of the slide are judged."""
        card = self.model.card
        return RedCrops(card.crop_um, card.crop_px, -(-most // max(1, fields)))


@dataclass(frozen=True, slots=True)
class RedReading:
    """The figures of a slide's red cells as its event has them, and the judged cells."""

    figures: JsonObject
    judged: tuple[JudgedRed, ...] = ()


@dataclass(frozen=True, slots=True, eq=False)
class RedFields:
    """The fields of a slide under way: as they arrive, numbered as they were asked for, and those
    that have arrived; whether cells are cut out of them to be judged.
    """

    arriving: Iterator[tuple[int, RedField] | None]
    fields: dict[int, RedField]
    are_cut: bool


def begin_red_fields(
    workers: Workers,
    outlook: Outlook,
    limit_s: float,
    settings: RedCells,
    red: RedJudge | None = None,
) -> RedFields:
    """Have the workers measure the fields. One that cannot be read is left out."""
    cut = red and settings.judged and red.crops_of(len(outlook.fields), settings.judged)
    fields: dict[int, RedField] = {}
    work = partial(outlook.scan.field_at, cut=cut or None)
    arriving = _fields_of(workers, work, outlook, limit_s, fields)
    first = next(arriving, None)  # now they are on their way
    return RedFields(chain([first], arriving), fields, bool(cut))


def read_red_cells(
    under_way: RedFields,
    writer: ResultWriter,
    settings: RedCells,
    red: RedJudge | None = None,
    anomaly_above: float = 1.0,
) -> RedReading | None:
    """Judge and store the cells of fields under way; None where there is no monolayer with red
    cells. Cells are judged while the workers measure the next fields, and while `writer` stores
    what is left of the white cells.
    """
    fields = under_way.fields
    verdicts: dict[FieldPlace, Verdict] = {}
    if red and under_way.are_cut:
        for place, verdict in judge(_crops(under_way.arriving), red.engine, red.model):
            verdicts[place] = verdict
            writer.write(rest=True)
    else:
        for _ in under_way.arriving:
            writer.write(rest=True)
    writer.write(final=True)
    numbers = sorted(fields, key=lambda n: fields[n].box_px0)
    summary = summary_of([fields[n] for n in numbers])
    if summary is None:
        return None
    judged = _judged(fields, numbers, verdicts)
    keep_red_cells(writer.store, [fields[n] for n in numbers], judged, red)
    figures: JsonObject = {name: round(value, 4) for name, value in asdict(summary).items()}
    figures |= platelet_figures([fields[n] for n in numbers], settings)
    if red and judged:
        figures |= kind_figures(list(judged.values()), anomaly_above)
        figures["model_hash"] = red.model.model_id
    return RedReading(figures, tuple(judged.values()))


def _fields_of(
    workers: Workers,
    work: partial[RedField],
    outlook: Outlook,
    limit_s: float,
    fields: dict[int, RedField],
) -> Iterator[tuple[int, RedField] | None]:
    """The fields as they arrive, numbered as they were asked for; those that fail are left out."""
    numbers = {spec: number for number, spec in enumerate(outlook.fields)}
    for arrived in workers.each(work, outlook.fields, limit_s):
        if arrived is None:
            yield None
        elif not isinstance(arrived[1], CytostreamError):
            number = numbers[arrived[0]]
            fields[number] = arrived[1]
            yield number, arrived[1]


def _crops(
    arrived: Iterator[tuple[int, RedField] | None],
) -> Iterator[tuple[FieldPlace, np.ndarray] | None]:
    for one in arrived:
        if one is None:
            yield None
            continue
        number, field = one
        if field.crops is not None:
            for cell, crop in zip(field.judged, field.crops, strict=True):
                yield (number, cell), crop


def _judged(
    fields: Mapping[int, RedField], numbers: Sequence[int], verdicts: Mapping[FieldPlace, Verdict]
) -> dict[FieldPlace, JudgedRed]:
    """The judged cells, named against the slide's own normal ones; their field as it is stored."""
    order = {number: stored for stored, number in enumerate(numbers)}
    places = sorted((order[number], number, cell) for number, cell in verdicts)
    plain = [
        JudgedRed(
            fields[number].reds[cell],
            verdict.label,
            verdict.scores[verdict.label],
            verdict.anomaly.score,
        )
        for _, number, cell in places
        for verdict in [verdicts[number, cell]]
    ]
    named = relative_to_normal(plain)
    return {(stored, cell): one for (stored, _, cell), one in zip(places, named, strict=True)}


def kind_figures(judged: Sequence[JudgedRed], anomaly_above: float) -> JsonObject:
    """How many cells of each kind, graded; how many are anomalous."""
    shares = shares_of(judged)
    red = [one for one in judged if one.label != OTHER_KIND]
    return {
        "judged": len(red),
        "anomalous": sum(one.anomaly > anomaly_above for one in red),
        "anomalous_long": sum(
            one.anomaly > anomaly_above and one.cell.roundness < LONG_ROUNDNESS for one in red
        ),
        "kinds": {name: asdict(share) for name, share in shares.items()},
        "leading": leading_finding(shares),
    }


def platelet_figures(fields: Sequence[RedField], settings: RedCells) -> JsonObject:
    """Clumps and large platelets of the fields; platelets and white cells per litre."""
    platelets, whites = (sum(getattr(f, name) for f in fields) for name in ("platelets", "whites"))
    return {
        "platelet_clumps": sum(f.platelet_clumps for f in fields),
        "large_platelets": sum(f.large_platelets for f in fields),
        **estimates_of(platelets, whites, sum(f.mm2 for f in fields), settings),
    }


def keep_red_cells(
    store: SlideStore,
    fields: Sequence[RedField],
    judged: Mapping[FieldPlace, JudgedRed],
    red: RedJudge | None,
) -> None:
    """Put them into the slide's store."""
    for name, values in red_cell_columns(fields).items():
        store.put(name, values)
    store.mark_labels("red", fields[0].mpp)
    if red and judged:
        for name, values in judged_columns(fields, judged, red.model.card.classes).items():
            store.put(name, values)
        store.write(0, {RED_CROPS: crops_of(fields, judged)})
        store.group.attrs["red_classes"] = list(red.model.card.classes)


def red_cell_columns(fields: Sequence[RedField]) -> dict[str, np.ndarray]:
    """The store's arrays: an image of labels and a box a field; a row a red cell, the n-th of a
    field being label n there.
    """
    cells = [(number, cell) for number, field in enumerate(fields) for cell in field.reds]
    high, wide = (max(field.labels.shape[axis] for field in fields) for axis in (0, 1))
    padded = [
        np.pad(f.labels, ((0, high - f.labels.shape[0]), (0, wide - f.labels.shape[1])))
        for f in fields
    ]
    measured = {
        f"reds/{name}": np.array([getattr(c, name) for _, c in cells], np.float32)
        for name in ("area_um2", "roundness", "pallor")
    }
    return {
        RED_CELL_LABELS: np.stack(padded),
        BOXES: np.array([f.box_px0 for f in fields], np.int32),
        "reds/field": np.array([number for number, _ in cells], np.uint16),
        "reds/centre_px0": np.array([(c.x_px0, c.y_px0) for _, c in cells], np.int32),
        "reds/box_px0": np.array([c.box_px0 for _, c in cells], np.int32),
        **measured,
    }


def judged_columns(
    fields: Sequence[RedField], judged: Mapping[FieldPlace, JudgedRed], classes: Sequence[str]
) -> dict[str, np.ndarray]:
    """A row a red cell, as in `columns_of`: the number of its kind in `classes`, -1 where it was
    not judged, with its probability and anomaly score.
    """
    places = [(number, i) for number, field in enumerate(fields) for i in range(len(field.reds))]
    found = [judged.get(place) for place in places]
    return {
        RED_KIND_COLUMN: np.array(
            [classes.index(one.label) if one else -1 for one in found], np.int8
        ),
        "reds/probability": np.array([one.probability if one else 0 for one in found], np.float32),
        "reds/anomaly": np.array([one.anomaly if one else 0 for one in found], np.float32),
    }


def crops_of(fields: Sequence[RedField], judged: Mapping[FieldPlace, JudgedRed]) -> np.ndarray:
    """The crops (n, px, px, 3) of the judged cells, in the order of the rows."""
    return np.stack(
        [
            crop
            for number, field in enumerate(fields)
            if field.crops is not None
            for cell, crop in zip(field.judged, field.crops, strict=True)
            if (number, cell) in judged
        ]
    )

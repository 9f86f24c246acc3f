"""What a consumer reads: the data of each event type, as models and as JSON Schemas.

A field may be added with a default, never renamed or changed: a change makes a new version of the
type.
"""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

Status = Literal["seen", "running", "done", "failed", "interrupted"]
ShareCodes = Literal["none", "hashed", "clear"]
Severity = Literal["notice", "warning", "urgent"]
Action = Literal[
    "reclassify",
    "confirm",
    "unidentified",
    "comment",
    "acknowledge",
    "sign",
    "amend",
    "undo",
    "identify",
    "remove",
    "mark",
    "assign",
    "second_read",
]
AccessAction = Literal[
    "login",
    "login_failed",
    "logout",
    "account_added",
    "account_changed",
    "account_removed",
    "key_made",
    "model_used",
]
Box = tuple[int, int, int, int]
JsonObject = dict[str, Any]  # as `json.loads` gives it


class Payload(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class AnomalyData(Payload):
    """How anomalous the cell is: higher is more anomalous."""

    score: float = Field(description="share of normal cells with a lower score, in [0, 1]")
    relative: float
    absolute: float
    reason: str = Field(description="one sentence for a person")
    p_value: float | None = Field(
        None, description="probability of a normal cell at least as anomalous: 1 - score"
    )


class Place(Payload):
    """Where a cell lies, in level-0 px of its slide; `mpp` is um a level-0 px."""

    slide_id: str
    cell_id: str
    kind: str
    x_px0: int
    y_px0: int
    box_px0: Box = Field(description="x0, y0, x1, y1")
    area_um2: float
    mpp: float
    model_hash: str


class CellData(Place):
    """One classified cell."""

    label: str
    parent: str | None = Field(
        None, description="class of a classical differential that the label belongs to"
    )
    scores: dict[str, float] = Field(description="class probabilities, sum 1")
    parents: dict[str, float] | None = Field(
        None, description="probabilities of the parents, sum 1"
    )
    anomaly: AnomalyData
    draws: int = Field(description="noise draws used")
    decided: bool = Field(description="false where the draws ran out before one class stood out")
    may_be: tuple[str, ...] = Field(
        (), description="the classes that it may be of; the model's card says how surely"
    )
    outcome: str | None = Field(
        None,
        description="the label, or `unidentified` where it is not the one class that it may be of",
    )
    taught: tuple[str, ...] = Field(
        (), description="classes among the scores that the laboratory has taught"
    )
    standard_label: str | None = Field(
        None, description="where classes were taught: the label of the model's own classes"
    )
    marked_by: str | None = Field(
        None, description="account of the person who marked a cell that no run has found"
    )


class RedData(Place):
    """One judged red cell of a sampled field; `model_hash` is the red-cell model's."""

    label: str
    probability: float = Field(description="of the label")
    anomaly: float = Field(description="the share of normal red cells that are less anomalous")
    roundness: float = Field(description="4 area / (pi major axis^2), 1 for a disc")
    pallor: float = Field(
        description="by how much the middle's stain falls short of the rim's, 0 to 1"
    )


class AlertData(Place):
    """One cell that a person should look at, and the rule that says so."""

    label: str
    rule: str
    severity: Severity
    score: float
    threshold: float
    reason: str
    thumbnail_png: str = Field(description="base64 of a PNG of the cell, 36 um wide")
    morphology: str = Field("", description="the cell in words, and what that is evidence for")


class Progress(Payload):
    """How far a slide is."""

    tiles_done: int = 0
    tiles: int = 0
    cells: int = 0
    alerts: int = 0
    failures: int = 0


class RedKindData(Payload):
    """Cells of one kind among the red cells that were judged."""

    count: int
    percent: float
    low: float = Field(description="95 % interval of the per cent")
    high: float
    grade: int = Field(ge=0, le=3, description="0 to 3 after ICSH 2015")


class RedCellData(Payload):
    """Red cells of sampled fields of the monolayer, each as large as the field of a 100x objective;
    medians where not said.
    """

    fields: int
    mm2: float
    cells: int
    per_mm2: float
    diameter_um: float = Field(description="of the disc of the same area")
    diameter_cv: float = Field(description="coefficient of variation of the diameter")
    roundness: float = Field(description="4 area / (pi major axis^2)")
    pallor: float = Field(
        description="by how much the middle's stain falls short of the rim's, 0 to 1"
    )
    whites_per_1000: float = Field(description="white cells per 1,000 red cells of the same fields")
    platelets_per_field: float
    diameter_mean_um: float | None = None
    platelet_clumps: int | None = Field(None, description="heaps of three or more")
    large_platelets: int | None = Field(None, description="wider than 4 um")
    platelets_per_litre: float | None = Field(None, description="an estimate: see the config")
    whites_per_litre: float | None = Field(None, description="an estimate: see the config")
    judged: int | None = Field(None, description="red cells that the red-cell model has judged")
    anomalous: int | None = Field(None, description="of these, those unlike all normal kinds")
    anomalous_long: int | None = Field(
        None, description="anomalous cells that are far longer than wide, as sickle cells are"
    )
    kinds: dict[str, RedKindData] | None = Field(
        None, description="shares of kinds; anisocytosis and poikilocytosis sum up several"
    )
    leading: str | None = Field(None, description="the most frequent of the graded kinds")
    model_hash: str | None = Field(None, description="of the red-cell model")


class SpecimenData(Payload):
    """The codes of a slide's specimen, only where the config lets them out; where `hashed`, HMACs
    with the secret of the store, so that equal codes of one store are equal.
    """

    hashed: bool
    accession: str | None = None
    container: str | None = None
    barcode: str | None = None
    order: str | None = None
    patient_id: str | None = None


class SlideData(Payload):
    """A slide's facts and how far it is; `counts` (cells a label) stands at the end."""

    slide_id: str
    status: Status
    width_px0: int
    height_px0: int
    mpp: float
    vendor: str
    scanner: str
    reader: str
    progress: Progress
    counts: dict[str, int] | None = None
    reason: str | None = Field(None, description="why it failed or was interrupted")
    unfit: tuple[str, ...] | None = Field(
        None, description="why it is not fit for reading; empty where it is"
    )
    red_cells: RedCellData | None = Field(
        None, description="at the end, where the smear has a monolayer"
    )
    name: str | None = Field(None, description="file name, only where the config shares names")
    path: str | None = Field(None, description="only where the config shares names")
    set_id: str | None = Field(None, description="fields of view of one slide share it")
    specimen: SpecimenData | None = Field(None, description="only where the config shares it")
    model_hash: str
    config_hash: str
    versions: dict[str, str]


class FailureData(Payload):
    """What could not be read or scored, and what to do next; `slide_id` is null for a file that is
    no slide.
    """

    slide_id: str | None
    file_digest: str | None = Field(
        None, description="of a file that is no slide: HMAC of the path with the store's secret"
    )
    stage: str
    what: str
    hint: str
    box_px0: Box | None = None
    path: str | None = Field(None, description="only where the config shares names")
    code: str = Field("unknown", description="which failure it is; `what` and `hint` belong to it")


class SlideAlertData(Payload):
    """What a slide as a whole, or the slides of a scanner, should be looked at for; it stands for
    many cells at once.
    """

    slide_id: str
    rule: str
    severity: Severity
    score: float
    threshold: float
    reason: str
    cells: int = Field(description="cells that the score is taken from")
    scanner: str
    model_hash: str
    cell_ids: tuple[str, ...] = Field((), description="cells that it rests on, the surest first")
    advice: str = Field("", description="what to do")


class ReviewData(Payload):
    """What a person decided: about a cell, an alert or a slide. Later reviews of the same thing
    stand above earlier ones.
    """

    slide_id: str
    action: Action
    reviewer: str = Field(description="account of the person, never a patient")
    cell_id: str | None = Field(
        None, description="the cell that was reclassified, confirmed, or commented"
    )
    alert_id: str | None = Field(None, description="ce_id of the alert that was acknowledged")
    label: str | None = Field(None, description="what the person calls the cell")
    was: str | None = Field(None, description="what it was called before")
    comment: str | None = None
    place_px0: tuple[int, int] | None = Field(
        None, description="x, y: the place of the slide that the comment is about, in level-0 px"
    )
    version: int = Field(1, description="of the signed report: 1 until an amendment")
    number: int | None = Field(
        None,
        description="place in the store's audit trail; one act on many cells has a number a cell",
    )
    act: str | None = Field(None, description="the same for all cells of one act")
    undoes: str | None = Field(None, description="the act that is taken back")
    counts: dict[str, int] | None = Field(None, description="cells a label, as signed")
    upto_row: int | None = Field(
        None, description="the last cell of the journal that was signed for"
    )
    previous: str | None = Field(
        None, description="SHA-256 of the entry before this one in the audit trail"
    )
    store: str | None = Field(None, description="the audit trail that the number is a place in")
    saw: int | None = Field(
        None, description="the last entry that the page of this person had shown, as the page says"
    )
    verdicts: str | None = Field(
        None, description="SHA-256 of the machine's verdicts on the cells that were signed for"
    )
    red_counts: dict[str, int] | None = Field(
        None, description="judged red cells a kind, as signed"
    )
    red_verdicts: str | None = Field(
        None, description="SHA-256 of the machine's verdicts on the red cells"
    )
    removed: Literal["pixels", "results", "identity"] | None = Field(
        None, description="which part of the slide's data was removed"
    )
    specimen: SpecimenData | None = Field(None, description="only where the config shares it")
    identity_digest: str | None = Field(
        None, description="HMAC of the identity that was stated or signed for; it names nobody"
    )
    language: str | None = Field(
        None, pattern="^[a-z]{2}$", description="in which the signed report is written (ISO 639-1)"
    )
    assignee: str | None = Field(
        None, description="account of the person whom the slide is assigned to; empty for nobody"
    )
    stat: bool | None = Field(None, description="whether somebody waits for the slide's result")
    marked: CellData | None = Field(
        None, description="the cell that was marked, as the model classified it"
    )
    crop: str | None = Field(None, description="BLAKE2b digest of the marked cell's pixels")


class AccessData(Payload):
    """Who logged in, failed to, changed an account, or chose a model: an entry of the audit trail
    beside the reviews.
    """

    action: AccessAction
    account: str = Field(description="the account that it is about, as it was typed")
    by: str = Field(description="who did it: an account, or that of the machine for a command")
    address: str = Field("", description="where the request came from")
    model: str = Field(
        "", description="model_used: name and id of the model that new slides are read with"
    )
    subject: str = Field(
        "", description="issuer and subject, where an OpenID Connect provider signed them in"
    )
    number: int = Field(description="place in the store's audit trail")
    previous: str = Field(description="SHA-256 of the entry before this one in the audit trail")
    store: str = Field(description="the audit trail that the number is a place in")


class DeadLetterData(Payload):
    """An event that the broker will never take: which one, and why. It waits in the store for
    `cytostream replay --refused`.
    """

    event_id: str
    event_type: str
    slide_id: str
    size_bytes: int
    reason: str

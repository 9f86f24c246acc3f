"""Settings of reading: tiles, worker processes, a Dask cluster, scale."""

from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator

from ingest import MPP_RANGE

from .section import Section


class Reading(Section):
    tile_px: int = Field(1024, ge=256, le=8192)
    workers: int = Field(2, ge=0)
    workers_most: int = Field(
        0, ge=0, description="more processes, up to this many, while tiles wait"
    )
    scheduler: str | None = Field(
        None, description="a Dask cluster in place of own processes, as tls://host:8786"
    )
    scheduler_ca: Path | None = Field(
        None, description="PEM file of the authority behind the cluster's certificates"
    )
    scheduler_certificate: Path | None = Field(
        None, description="PEM file of the certificate that this host shows the cluster"
    )
    scheduler_key: Path | None = Field(None, description="PEM file of its key")
    insecure_scheduler: bool = Field(
        False, description="permits tcp://, where anyone who reaches it runs code here"
    )
    mounts: dict[Path, Path] = Field(
        {},
        description="folders here, and where the workers of the cluster see them: "
        '"/srv/scans" = "/mnt/scans"',
    )
    dashboard: str = Field(
        "", description="host and port of Dask's pages, as 127.0.0.1:8787; needs bokeh"
    )
    mpp_override: float | None = Field(
        None, ge=MPP_RANGE[0], le=MPP_RANGE[1], description="um per px, whatever the files say"
    )
    red_cell_um: float = Field(
        7.2,
        ge=0,
        description="median red cell; a slide whose scale makes it a quarter more or less, or that "
        "has none, is held; 0 does not look",
    )
    area: Literal["all", "battlement"] = Field(
        "all", description="battlement: a technologist's path through the monolayer"
    )
    judge: Literal["here", "workers"] = Field(
        "here", description="workers: each has an engine and judges the cells that it finds"
    )
    judge_limit_s: float = Field(
        300.0, gt=0, description="the same for a tile that a worker judges, beside read_limit_s"
    )
    read_limit_s: float = Field(
        60.0, gt=0, description="a tile, or the facts of a slide, that take longer are given up"
    )
    survey_limit_s: float = Field(
        300.0, gt=0, description="a first look that takes longer is given up"
    )

    @field_validator("mounts")
    @classmethod
    def _are_absolute(cls, mounts: dict[Path, Path]) -> dict[Path, Path]:
        wrong = [str(path) for pair in mounts.items() for path in pair if not path.is_absolute()]
        if wrong:
            raise ValueError(f"{', '.join(wrong)}: whole paths are wanted, as /srv/scans")
        return mounts

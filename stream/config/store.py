"""Settings of the store and of the backlog of slides in it."""

from pydantic import Field

from .section import Section


class BacklogSettings(Section):
    tries: int = Field(3, ge=1, description="of a slide that fails")
    retry_s: float = Field(10.0, ge=0, description="pause before the next try, doubled each time")
    deaths: int = Field(
        20, ge=1, description="a slide under which the process died so often is given up"
    )
    lease_s: float = Field(
        30.0, gt=0, description="a host that is silent for so long loses its slides to the others"
    )
    drain_s: float = Field(
        20.0,
        ge=0,
        description="after SIGTERM: the slide in hand may end within this, then it is interrupted",
    )
    progress_s: float = Field(10.0, gt=0, description="between two running events of a slide")


class Store(Section):
    state: str = Field(
        "",
        description="postgresql://USER@HOST/DATABASE for several hosts; empty: files of the store",
    )
    results: str = Field(
        "",
        description="s3://BUCKET/PREFIX, with credentials in the environment; empty: its folder",
    )
    free_gb: float = Field(1.0, ge=0, description="the run stops in order where the disk has less")
    waiting_gb: float = Field(
        20.0, gt=0, description="the run stops in order where the state file is larger"
    )
    keep_days: float = Field(
        30.0, gt=0, description="sent labels of finished slides are dropped after this; alerts stay"
    )

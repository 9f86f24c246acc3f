"""Settings of what is seen from outside: figures, health, logs."""

from typing import Literal

from pydantic import Field

from .section import Section


class MonitoringSettings(Section):
    """Nothing listens and nothing is logged but warnings, unless it is set here."""

    address: str = Field(
        "",
        description="HOST:PORT for /metrics, /healthz and /readyz of this process, as "
        "127.0.0.1:9464; empty: none",
    )
    hosts: tuple[str, ...] = Field(
        (), description="further names of this machine, under which that address is asked"
    )
    log_format: Literal["text", "json"] = Field("text", description="json: one object a line")
    log_level: Literal["debug", "info", "warning", "error"] = "warning"

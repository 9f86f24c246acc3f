"""Settings of the signed heads of the audit trail, outside the store."""

from pathlib import Path
from typing import Self

from pydantic import Field, model_validator

from .section import Section


class AuditSettings(Section):
    """`cytostream serve` writes the heads, `cytostream audit` compares the trail with them."""

    heads_to: tuple[str, ...] = Field(
        (), description="folders outside the store, or s3://BUCKET/PREFIX, that get signed heads"
    )
    key_file: Path | None = Field(
        None, description="Ed25519 key (PEM) that signs heads, outside the store"
    )
    public_key_file: Path | None = Field(
        None, description="its public key (PEM), where heads are only checked"
    )

    @model_validator(mode="after")
    def _has_a_key(self) -> Self:
        if self.heads_to and not (self.key_file or self.public_key_file):
            raise ValueError("heads_to needs key_file, or public_key_file to check alone")
        return self

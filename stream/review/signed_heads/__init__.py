"""Signed heads of the audit trail, outside the store."""

from .signed_head import check_signed_heads, head_sinks

__all__ = ["check_signed_heads", "head_sinks"]

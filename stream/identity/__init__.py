from .claims import Claim, claims_of_codes, claims_of_name
from .matching import Demand, Order, Resolution, is_sufficient, resolve
from .specimen import (
    CODE_FIELDS,
    EVENT_FIELDS,
    FIELDS,
    Identity,
    IdentityError,
    identity_from,
    identity_of_body,
)
from .worklist_csv import BadLine, read_worklist

__all__ = [
    "BadLine",
    "CODE_FIELDS",
    "Claim",
    "Demand",
    "EVENT_FIELDS",
    "FIELDS",
    "Identity",
    "IdentityError",
    "Order",
    "Resolution",
    "claims_of_codes",
    "claims_of_name",
    "identity_from",
    "identity_of_body",
    "is_sufficient",
    "read_worklist",
    "resolve",
]

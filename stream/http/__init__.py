from .connections import guarded_protocol, sample_logs
from .limits import Bucket, Caller, Limits, Shield, Tries, UnderFolder, address_of

__all__ = [
    "Bucket",
    "Caller",
    "Limits",
    "Shield",
    "Tries",
    "UnderFolder",
    "address_of",
    "guarded_protocol",
    "sample_logs",
]

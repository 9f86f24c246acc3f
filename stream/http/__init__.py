from .connections import guarded_protocol, sample_logs
from .limits import Bucket, Caller, Limits, Shield, Tries, UnderFolder, client_address

__all__ = [
    "Bucket",
    "Caller",
    "Limits",
    "Shield",
    "Tries",
    "UnderFolder",
    "client_address",
    "guarded_protocol",
    "sample_logs",
]

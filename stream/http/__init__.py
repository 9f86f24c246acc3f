from .connections import guarded_protocol, sample_logs
from .limits import Bucket, Caller, Limits, Shield, Tries, UnderFolder, client_address
from .unix_socket import open_socket

__all__ = [
    "Bucket",
    "Caller",
    "Limits",
    "Shield",
    "Tries",
    "UnderFolder",
    "client_address",
    "guarded_protocol",
    "open_socket",
    "sample_logs",
]

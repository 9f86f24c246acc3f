from .connections import guarded_protocol, sample_logs
from .limits import Bucket, Caller, Limits, Shield, Tries, UnderFolder, client_address
from .server import check_address, host_and_port, is_own_host, serving
from .unix_socket import group_of, open_socket

__all__ = [
    "Bucket",
    "Caller",
    "Limits",
    "Shield",
    "Tries",
    "UnderFolder",
    "check_address",
    "client_address",
    "group_of",
    "guarded_protocol",
    "host_and_port",
    "is_own_host",
    "open_socket",
    "sample_logs",
    "serving",
]

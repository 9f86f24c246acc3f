from .alerts import Alerts, ClassRule, ExcessRule, RatioRule
from .audit import AuditSettings
from .config import Config, load_config
from .identity import IdentitySettings
from .kafka import CLIENT_CREDENTIALS, Kafka, KafkaTokens, Topics
from .lis import LisSettings
from .monitoring import MonitoringSettings
from .oidc import OidcSettings, is_loopback, is_safe_address
from .reading import Reading
from .red_cells import RedCells
from .retention import RetentionSettings
from .review import ClassKey, ReviewSettings
from .section import ConfigError
from .store import BacklogSettings, Store
from .watch import WatchSettings

__all__ = [
    "Alerts",
    "AuditSettings",
    "BacklogSettings",
    "ClassRule",
    "CLIENT_CREDENTIALS",
    "Config",
    "ConfigError",
    "ExcessRule",
    "IdentitySettings",
    "Kafka",
    "KafkaTokens",
    "LisSettings",
    "MonitoringSettings",
    "OidcSettings",
    "RatioRule",
    "Reading",
    "RedCells",
    "RetentionSettings",
    "ClassKey",
    "ReviewSettings",
    "Store",
    "Topics",
    "WatchSettings",
    "is_loopback",
    "is_safe_address",
    "load_config",
]

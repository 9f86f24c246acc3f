from .accounts import Accounts
from .app import Setting, make_app
from .auth import Doors, Mode, is_loopback, local_name
from .routes_pages import leaflet_folder

__all__ = [
    "Accounts",
    "Doors",
    "Mode",
    "Setting",
    "is_loopback",
    "leaflet_folder",
    "local_name",
    "make_app",
]

from .accounts import Accounts, Person
from .app import ReviewApp, Setting, make_app
from .auth import Authenticator, Mode, local_name
from .models import shadow_page
from .routes_pages import leaflet_folder

__all__ = [
    "Accounts",
    "Authenticator",
    "Mode",
    "Person",
    "ReviewApp",
    "Setting",
    "leaflet_folder",
    "local_name",
    "make_app",
    "shadow_page",
]

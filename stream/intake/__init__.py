from .http import door_router, open_door

__all__ = ["door_router", "open_door"]

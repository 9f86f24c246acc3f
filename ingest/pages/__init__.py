from .tiff_pages import OVERVIEW, check_focus, check_tiff

__all__ = ["OVERVIEW", "check_focus", "check_tiff"]

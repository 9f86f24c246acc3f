"""The documentation: `make docs` builds it. The reference is made from the program before."""

from importlib import metadata

from docs.reference_pages import write_reference

project = "cytostream"
release = metadata.version("cytostream")
extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
html_theme = "alabaster"
html_theme_options = {"page_width": "1100px", "fixed_sidebar": True}
html_static_path: list[str] = []
exclude_patterns = ["_build"]
nitpicky = True
suppress_warnings = ["myst.header"]


def setup(app: object) -> None:
    """Writes the pages of the reference, as the program is now."""
    write_reference()

"""What the scenes share: slides that are cheap to make and to read, and a configuration."""

from pathlib import Path

from tests.make import smear


def make_slides(folder: Path, count: int, whites: int, side_px: int) -> list[Path]:
    """One smear, `count` times: bytes behind the end of the file make each a slide of its own."""
    folder.mkdir()
    smear(folder / "model", side_px=side_px, whites=whites)
    data = (folder / "model").read_bytes()
    (folder / "model").unlink()
    paths = [folder / f"{number:04}.tiff" for number in range(count)]
    for number, path in enumerate(paths):
        path.write_bytes(data + number.to_bytes(4, "big"))
    return paths


def write_config(
    folder: Path,
    bootstrap: str,
    workers: int = 2,
    scheduler: str = "",
    read_back: bool = True,
) -> Path:
    """`scheduler`: the lines of `[reading]` that name one."""
    reading = scheduler or f"workers = {workers}\n"
    path = folder / "chaos.toml"
    path.write_text(
        f'[kafka]\nbootstrap = "{bootstrap}"\nanswer_s = 3.0\ngive_up_s = 60.0\nlinger_ms = '
        f"5\nread_back = {str(read_back).lower()}\n"
        f"[reading]\ntile_px = 512\n{reading}"
        "[backlog]\nretry_s = 0.5\ntries = 1000\ndeaths = 100000\nlease_s = 10.0\nprogress_s = "
        "1.0\ndrain_s = 5.0\n"
        "[store]\nfree_gb = 0.004\n[watch]\nlook_s = 0.5\n"
    )
    return path

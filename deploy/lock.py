"""Writes a lock file from the report of pip (`pip install --dry-run --report`): every package of an
installation on this machine with the digest of its archive.
"""

import json
import sys


def locked(report: dict) -> list[str]:
    """A line a package, as `pip install --require-hashes -r` reads it; the project itself is left
    out.
    """
    lines = []
    for one in report["install"]:
        archive = one["download_info"].get("archive_info")
        if archive:
            name, version = one["metadata"]["name"], one["metadata"]["version"]
            lines.append(f"{name}=={version} --hash=sha256:{archive['hashes']['sha256']}")
    return sorted(lines, key=str.lower)


if __name__ == "__main__":
    print("\n".join(locked(json.load(sys.stdin))))

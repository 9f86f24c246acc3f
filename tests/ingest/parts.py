"""Builders: slides of several files, of a few bytes each."""

import struct


def write(path, data=b"x"):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def vms(folder, pixels=b"pixels", stem="s"):
    lines = [f"ImageFile={stem}(0,0).jpg", f"MapFile={stem}_map.jpg", "OptimisationFile=s.opt"]
    for name in (f"{stem}(0,0).jpg", f"{stem}_map.jpg"):
        write(folder / name, pixels)
    text = "\n".join(["[Virtual Microscope Specimen]", *lines])
    return write(folder / f"{stem}.vms", text.encode())


def mrxs(folder, pixels=b"pixels", stem="m"):
    write(folder / stem / "Slidedat.ini", b"[GENERAL]")
    write(folder / stem / "Data0000.dat", pixels)
    return write(folder / f"{stem}.mrxs", b"key")


def dicom(path, series, pixels=b"pixels"):
    """A DICOM header with a sequence that names another series before its own, and pixels."""

    def element(group, number, vr, value):
        value += b" " * (len(value) % 2)
        return struct.pack("<HH2sH", group, number, vr, len(value)) + value

    inner = element(0x0020, 0x000E, b"UI", b"9.9.9")
    item = struct.pack("<HHI", 0xFFFE, 0xE000, 0xFFFFFFFF) + inner
    item += struct.pack("<HHI", 0xFFFE, 0xE00D, 0) + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)
    referenced = struct.pack("<HH2sHI", 0x0008, 0x1115, b"SQ", 0, 0xFFFFFFFF) + item
    own = element(0x0020, 0x000E, b"UI", series)
    data = element(0x7FE0, 0x0010, b"UN", b"")[:4]
    return write(path, b"\0" * 128 + b"DICM" + referenced + own + data + pixels)

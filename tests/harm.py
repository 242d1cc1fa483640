"""Damage to files as disks, transfers and people do it."""

from hypothesis import strategies as st


def harmed(data: st.DataObject, whole: bytes) -> bytes:
    """Change a file's bytes at a place that is drawn: flip a bit, cut the rest off, put in zeros or something new."""
    at = data.draw(st.integers(0, len(whole) - 1))
    length = data.draw(st.integers(1, 64))
    return {
        "flip": whole[:at] + bytes([whole[at] ^ (1 << length % 8)]) + whole[at + 1 :],
        "cut": whole[:at],
        "zeros": whole[:at] + bytes(length) + whole[at + length :],
        "insert": whole[:at] + b"\x01" * length + whole[at:],
    }[data.draw(st.sampled_from(["flip", "cut", "zeros", "insert"]))]

from pathlib import Path

from tests.datasets.readers.tree_parts import as_text, orbit, write_picture

TIMESTAMPS = (500, 1033000, 1066000, 2000000)
WITHOUT_A_FRAME = 3000000


def line(timestamp: int, angle: float) -> str:
    return f"{timestamp} 0.5 0.9 0.5 0.5 0.0 0.0 {as_text(orbit(angle).reshape(1, 12))}\n"


def build(root: Path) -> str:
    train = root / "real_estate_dataset/train"
    for timestamp in TIMESTAMPS:
        write_picture(train / f"frames/0a1b/{timestamp}.png", 18, 32)
    lines = [line(timestamp, row / 20) for row, timestamp in enumerate([*TIMESTAMPS, WITHOUT_A_FRAME])]
    (train / "cameras").mkdir()
    (train / "cameras/0a1b.txt").write_text("https://example.invalid/watch?v=x\n" + "".join(lines))
    return "real_estate/0a1b/27_40"

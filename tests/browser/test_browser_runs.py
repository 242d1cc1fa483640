"""The table of runs in a browser: two rows that are clicked are compared below it."""

import cv2
import numpy as np

from maskrf_core.runs import Run
from maskrf_core.runs.log import RunLog
from maskrf_core.settings.config import load_config
from maskrf_core.support.atomic_files import write_atomically

SOURCE = """from pathlib import Path
from maskrf_core.workbook.experiments import table_of_runs

table_of_runs.compare(Path({root!r}))"""


def prepared(folder, ratio: float, psnr: float) -> Run:
    """Make a run folder as a training and an evaluation would leave it."""
    run = Run.start(folder, load_config("pretrain", "demo", {"masking.mask_ratio": ratio}))
    log = RunLog(run, 0)
    for step in range(10, 60, 10):
        log.write(step, "train", {"colour_fine": 1 / step + ratio / 100})
    log.write(50, "validation", {"fine_psnr": psnr, "fine_ssim": 0.4})
    log.close()
    data = cv2.imencode(".png", np.full((24, 32, 3), 255 * ratio, np.uint8))[1].tobytes()
    for kind in ("truth", "fine"):
        path = run.renders / "validation" / "demo_validation_00" / f"view_00_{kind}.png"
        write_atomically(path, lambda file: file.write(data))
    return run


def test_two_rows_give_their_difference(lab, tmp_path):
    for ratio, psnr in ((0.25, 17.0), (0.5, 18.0), (0.75, 16.0)):
        prepared(tmp_path / f"ratio={ratio}", ratio, psnr)
    notebook = lab.open("runs", SOURCE.format(root=str(tmp_path)))
    notebook.run(0)
    shown = notebook.output(0)
    rows = shown.locator("table.dataTable tbody tr:visible")
    rows.filter(has_text="ratio=0.75").click()
    rows.filter(has_text="ratio=0.25").click()
    difference = shown.locator("table.dataframe")
    difference.get_by_text("masking.mask_ratio").wait_for()
    assert difference.locator("td").all_inner_texts() == ["setting", "masking.mask_ratio", "0.25", "0.75"]
    assert shown.locator("figcaption").all_inner_texts() == ["truth", "ratio=0.25", "ratio=0.75"]
    assert shown.locator("img[alt*='loss']").count() == 1
    shown.locator("figcaption").last.scroll_into_view_if_needed()
    notebook.screenshot("runs_renders")
    shown.get_by_placeholder("masking.mask_ratio").scroll_into_view_if_needed()
    notebook.screenshot("runs")
    ratio_filter = shown.get_by_placeholder("masking.mask_ratio")
    ratio_filter.press_sequentially("0.5")
    rows.filter(has_text="ratio=0.75").wait_for(state="hidden")
    assert rows.count() == 1
    ratio_filter.clear()
    ratio_filter.press("Enter")
    rows.filter(has_text="ratio=0.25").click()  # chosen no longer
    shown.get_by_text("Click two rows").wait_for()

"""Every notebook, run cell by cell in a browser at the size of seconds: nothing is broken that a person would see."""

import nbformat
import pytest

from maskrf_core.settings.config import SMOKE
from maskrf_core.workbook.execution import notebooks

BROKEN = ("Loading widget", "<Figure size", "Error displaying widget", "Traceback")
FAULTS = """output => {
  const pictures = [...output.querySelectorAll('img:not([hidden])')].filter(one => one.complete && !one.naturalWidth);
  const box = output.getBoundingClientRect();
  const shown = [...output.querySelectorAll('img, table')].filter(one => !one.closest('.dt-container'));
  const wide = shown.filter(one => one.getBoundingClientRect().right > box.right + 2);
  return [...pictures.map(() => 'a picture that is broken'), ...wide.map(one => `a wide ${one.tagName}`)];
}"""


@pytest.mark.long
@pytest.mark.parametrize("path", notebooks(), ids=lambda path: path.stem)
def test_a_notebook_runs_whole_in_a_browser(path, lab):
    notebook = nbformat.read(path, 4)
    sources = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    shown = lab.open(path.stem, f"%env {SMOKE}=1", *sources)
    try:
        for number in range(len(sources) + 1):
            shown.run(number, seconds=400)
            output = shown.output(number)
            if output.count():
                output.scroll_into_view_if_needed()
                shown.page.wait_for_timeout(500)
                text = output.inner_text()
                assert not any(word in text for word in BROKEN), f"cell {number}: {text[-2000:]}"
                assert not output.locator("[data-mime-type='application/vnd.jupyter.error']").count(), text[-2000:]
                assert output.evaluate(FAULTS) == [], f"cell {number} shows\n{sources[number - 1]}"
                shown.screenshot(f"{path.stem}_{number:02d}")
    finally:
        shown.page.close()

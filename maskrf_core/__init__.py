"""maskrf: an experiment workbook for mask-based pretraining of generalizable neural radiance fields.

A scene on disk becomes a `Scene` (`datasets`), a few of its views become a `SceneBatch`, the `Renderer` (`model`)
turns that into a `Rendering`, and `training` and `evaluation` do so many times inside a run folder (`runs`).
"""

import os

# torch's CPU threads wait for each other by spinning. Beside any other work (a second kernel is enough) each then burns
# the time that the other one needs, and a training step takes ten times as long: let them spin briefly, then sleep.
# Read when torch loads.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("GOMP_SPINCOUNT", "5000")

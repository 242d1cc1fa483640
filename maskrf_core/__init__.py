"""maskrf: an experiment workbook for mask-based pretraining of generalizable neural radiance fields.

A scene on disk becomes a `Scene` (`datasets`), a few of its views become a `SceneBatch`, the `Renderer` (`model`)
turns that into a `Rendering`, and `training` and `evaluation` do so many times inside a run folder (`runs`).
"""

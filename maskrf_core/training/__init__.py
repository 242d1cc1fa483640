"""Training. `python -m maskrf_core.training <run folder>` trains a run; `trainer.fit` is what it calls.

Nothing is imported here: a training has to hear signals before the seconds that importing torch takes.
"""

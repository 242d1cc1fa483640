"""Training: `python -m maskrf_core.training RUN_FOLDER...` trains runs; `trainer.fit(run)` is what it calls.

`objective` is the loss of a step, `preflight` checks the scenes before anything is trained, `saved_states` has the
first weights and the checkpoints, `reporting` what is written about a training, `validation_pictures` what it looks
like meanwhile, `process` its processes. `zoo` trains the weights that ship, `zero_shot` judges them, `shipping` ships
them. Nothing is imported here: a training has to hear signals before the seconds that importing torch takes.
"""

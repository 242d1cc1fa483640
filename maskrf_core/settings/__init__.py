"""Settings of a run: typed, bounded, strict.

Doors: `config.load_config(stage, preset, overrides)` makes a config, `sections` has every setting with its unit and
bounds, `readable_errors` says what is wrong with a value.
"""

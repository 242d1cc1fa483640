"""Processes that train: `protocol` (commands, signals, exit codes), `training_process` (one seen from outside), and
`process_group` (several that train together)."""

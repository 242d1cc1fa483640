"""Helpers that know nothing of scenes or models: files written whole, paths, digests, progress, threads, the machine,
and the errors that a user can cause."""

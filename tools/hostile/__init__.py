"""Hostile files, pushed through everything that reads files: python -m tools.hostile."""

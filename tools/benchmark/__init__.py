"""Speeds and memory, each way beside a named baseline: python -m tools.benchmark."""

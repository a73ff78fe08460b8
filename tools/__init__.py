"""The project's tools: scripts, and packages that are run as python -m tools.NAME."""

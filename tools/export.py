"""Write a model as ONNX files: python tools/export.py MODEL OUT (the same as python -m calisketch export)."""

from __future__ import annotations

import sys

from calisketch.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["export", *sys.argv[1:]]))

"""Measure models on a prepared folder: python tools/evaluate.py data.root=data/cuhk128 track=synthetic split=test"""

from __future__ import annotations

import sys

from calisketch.commands.evaluate import main

if __name__ == "__main__":
    sys.exit(main())

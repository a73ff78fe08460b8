"""Trains a system: python tools/train.py experiment=cali_sketch data.root=data/cuhk256 (see conf/train.yaml)."""

import sys

from calisketch.train_command import main

if __name__ == "__main__":
    sys.exit(main())

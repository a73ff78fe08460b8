"""The same as calisketch train: python tools/train.py experiment=paper/cali_sketch data.root=data/cuhk256"""

import signal
import sys

if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    signal.signal(signal.SIGINT, signal.SIG_DFL)  # at once: while importing, and a second time while training

from calisketch.__main__ import main

if __name__ == "__main__":
    sys.exit(main(["train", *sys.argv[1:]]))

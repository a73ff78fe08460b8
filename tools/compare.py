"""Put a paper's claims to the test: python tools/compare.py comparison=NAME models.KEY=FOLDER data.root=data/faces64"""

from __future__ import annotations

import sys

from calisketch.commands.compare import main

if __name__ == "__main__":
    sys.exit(main())

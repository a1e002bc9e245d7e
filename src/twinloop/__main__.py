"""``python -m twinloop`` is the command ``twinloop``."""

import sys

from twinloop.cli.main import main

if __name__ == "__main__":
    sys.exit(main())

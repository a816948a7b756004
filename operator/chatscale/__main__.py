"""`python -m chatscale`."""

import sys

from chatscale.cli import main

if __name__ == "__main__":
    sys.exit(main())

"""`python -m clipforget` is the command `clipforget`."""

import sys

from .run.recipes import main

if __name__ == "__main__":
    sys.exit(main())

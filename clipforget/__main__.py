"""`python -m clipforget --empty-cache` removes what this package keeps in its cache."""

import argparse

from . import __version__
from .core.files import cache_dir, empty_cache

if __name__ == "__main__":
    parser = argparse.ArgumentParser("python -m clipforget", description="Housekeeping of clipforget.")
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("--empty-cache", action="store_true", required=True, help="remove what can be computed again")
    parser.parse_args()
    print(f"{empty_cache() / 1e6:.1f} MB removed from {cache_dir()}")

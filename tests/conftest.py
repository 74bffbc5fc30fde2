"""Order of the test files: the longest first, so that no worker sits idle at the end (run with pytest-xdist's --no-loadscope-reorder)."""

LONGEST = (
    "test_whole_run.py",
    "test_imagenet.py",
    "test_experiments.py",
    "test_site.py",
    "test_photos.py",
    "test_sweep.py",
)


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: LONGEST.index(item.path.name) if item.path.name in LONGEST else len(LONGEST))

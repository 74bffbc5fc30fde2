from .. import _load_libraries

_load_libraries()

"""Make a CLIP forget one subgroup of images and keep the rest: forgetting, reminding, restoring.

    import clipforget as cf

    clip = cf.load_clip()                         # the small CLIP that ships here, or cf.load_clip("RN50-quickgelu/openai")
    task = cf.emoji_task(clip, target="turtle")   # or cf.folder_task(clip, "my_images")
    edit = cf.forget(clip, task)                  # the three stages; cf.list_methods() has the rivals
    print(edit.verdict(), edit.evaluate(), sep="\\n")
    edit.save("turtle-less")                      # an ordinary open_clip directory

Models: `load_clip`, `from_open_clip`, `from_transformers`. Tasks: `emoji_task`, `folder_task`, `imagenet_task`, `cifar10_task`, `cifar100_task`, `grocery_task`, `monkeys_task`,
`style_task`.
Settings: `Settings`. The edit: `forget`, `Edit`, `apply_patch`, `audit`, `reindex`. What there is: `list_methods`, `list_datasets`. The cache: `empty_cache`.
Every module below has a page of its own in nbs/.
"""

__version__ = "0.1.0"

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .core.files import empty_cache as empty_cache
    from .core.settings import Settings as Settings
    from .data.emoji import emoji_task as emoji_task
    from .data.registry import list_datasets as list_datasets
    from .data.tasks import cifar10_task as cifar10_task, cifar100_task as cifar100_task, folder_task as folder_task
    from .data.tasks import grocery_task as grocery_task, imagenet_task as imagenet_task
    from .data.tasks import monkeys_task as monkeys_task, style_task as style_task
    from .exchange.loading import load_clip as load_clip
    from .exchange.open_clip import from_open_clip as from_open_clip
    from .exchange.transformers import from_transformers as from_transformers
    from .judging.verdict import audit as audit
    from .report.edit import Edit as Edit, apply_patch as apply_patch
    from .report.forget import forget as forget
    from .report.reindex import reindex as reindex
    from .rivals.methods import list_methods as list_methods

_ROOMS = {
    "exchange.loading": ("load_clip",),
    "exchange.open_clip": ("from_open_clip",),
    "exchange.transformers": ("from_transformers",),
    "data.emoji": ("emoji_task",),
    "data.tasks": (
        *("folder_task", "imagenet_task", "cifar10_task", "cifar100_task", "grocery_task", "monkeys_task"),
        "style_task",
    ),
    "judging.verdict": ("audit",),
    "core.settings": ("Settings",),
    "report.forget": ("forget",),
    "report.edit": ("Edit", "apply_patch"),
    "report.reindex": ("reindex",),
    "rivals.methods": ("list_methods",),
    "data.registry": ("list_datasets",),
    "core.files": ("empty_cache",),
}
_HOMES = {name: room for room, names in _ROOMS.items() for name in names}
__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    "A name of the front door: its module, and PyTorch with it, is loaded when it is first used."
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}; it has {', '.join(_HOMES)}")
    found = globals()[name] = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    return found


def __dir__() -> list[str]:
    return [*_HOMES, "__version__"]

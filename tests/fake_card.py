"""A graphics card for machines that have none: tensors on another device, whose values lie on the CPU.

Whatever mixes the two devices fails as it would on a card. PyTorch's device "lazy" lends its name, since nothing else uses it.
"""

from contextlib import contextmanager
from unittest.mock import patch

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter, tree_map

DEVICE = torch.device("lazy")
aten = torch.ops.aten
COPIES = (aten._to_copy.default, aten.copy_.default)  # from one device to the other, or within one
INDEXING = (aten.index.Tensor, aten.index_put_.default, aten.index_put.default, aten._index_put_impl_.default)


class OnCard(torch.Tensor):
    """A tensor on the card; `held` has its values."""

    @staticmethod
    def __new__(cls, held):
        layout = {"strides": held.stride(), "storage_offset": held.storage_offset(), "dtype": held.dtype}
        made = torch.Tensor._make_wrapper_subclass(cls, held.size(), device=DEVICE, **layout)
        made.held = held
        return made

    def __init__(self, held):
        pass

    def tolist(self):
        return self.held.tolist()

    def data_ptr(self):
        return 0

    def numpy(self, *args, **kwargs):
        raise TypeError("A tensor on a card cannot become an array. Use .cpu() first.")

    __array__ = numpy

    @classmethod
    def __torch_dispatch__(cls, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})


def _check_devices(func, args, tensors):
    """RuntimeError where `func` has tensors on both devices: single numbers may be, and indices of a tensor on the card."""
    elsewhere = [x for x in tensors if not isinstance(x, OnCard) and x.dim()]
    if func in INDEXING:
        values = [x for x in args[2:3] if isinstance(x, torch.Tensor)]
        wrong = not isinstance(args[0], OnCard) or any(x is v for x in elsewhere for v in values)
    else:
        wrong = bool(elsewhere) and func not in COPIES
    if wrong:
        shapes = [(type(x).__name__, *x.shape) for x in tensors]
        raise RuntimeError(f"{func} has tensors on the card and on the CPU: {shapes}")


def _run(func, args, kwargs):
    """The operation on the values; what it makes is on the card if it was asked for there, or was computed there."""
    tensors = [x for x in tree_iter((args, kwargs)) if isinstance(x, torch.Tensor)]
    on_card = [x for x in tensors if isinstance(x, OnCard)]
    if on_card:
        _check_devices(func, args, tensors)
    there = bool(on_card)
    if kwargs.get("device") is not None:
        there, kwargs = torch.device(kwargs["device"]) == DEVICE, {**kwargs, "device": torch.device("cpu")}
    inside = lambda x: x.held if isinstance(x, OnCard) else x
    found = func(*tree_map(inside, args), **tree_map(inside, kwargs))
    if func is aten.copy_.default:
        return args[0]
    known = {id(inside(x)): x for x in tensors}  # an operation in place returns what it was given
    outside = lambda x: known[id(x)] if id(x) in known else OnCard(x) if isinstance(x, torch.Tensor) else x
    return tree_map(outside, found) if there else found


class _Mode(TorchDispatchMode):
    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        return _run(func, args, kwargs or {})


def _to(made, device):
    return made if device is None else made.to(device)


def _moved(make):
    """`torch.tensor` or `torch.as_tensor`, which no dispatch sees, in two steps."""
    return lambda data, *args, device=None, **more: _to(make(data, *args, **more), device)


@contextmanager
def fake_card():
    """The device of a card for the block."""
    before = torch.__future__.get_overwrite_module_params_on_conversion()
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    moved = {name: _moved(getattr(torch, name)) for name in ("tensor", "as_tensor")}
    try:
        with _Mode(), patch.multiple(torch, **moved):
            yield DEVICE
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(before)

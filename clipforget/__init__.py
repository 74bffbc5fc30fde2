"""Make a CLIP forget one subgroup of images and keep the rest: forgetting, reminding, restoring."""

__version__ = "0.1.0"

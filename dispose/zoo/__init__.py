"""Trained networks: what they are, how they are stored, and the ones that ship with the project."""

from dispose.zoo.checkpoints import load_associator, load_image_model, load_weights, save_weights

__all__ = ["load_associator", "load_image_model", "load_weights", "save_weights"]

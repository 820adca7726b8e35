"""A whole training step of a hash surface, tile by tile; `neus/training/step.py` says the same in torch and is its specification."""

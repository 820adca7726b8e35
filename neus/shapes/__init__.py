"""Families of shapes (DeepSDF): samples, auto-decoder, codes fitted to whole and partial observations, experiments."""

__all__ = ["autodecoder", "experiment_files", "losses", "prior", "samples", "specs", "splits"]

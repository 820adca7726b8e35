"""Rays and a field to pixels: densities, weights, samplers, views."""

"""Geometry from several images: visual hull, plane sweep, fusion, carving, matches."""

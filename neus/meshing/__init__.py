"""A field to a mesh: lattice, marching cubes, cleaning, colours, files."""

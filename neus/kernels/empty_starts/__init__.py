"""Where rays may start, by a lattice of distances."""

"""The hot loops: each operation as readable torch (`reference`) and, where there is one, a faster form of the same."""

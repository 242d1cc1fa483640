"""The same computed otherwise: compiled, rounded, recomputed, thinned. Imported only where it is asked for."""

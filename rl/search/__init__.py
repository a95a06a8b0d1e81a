"""Tree search over many games at once: Gumbel AlphaZero and PUCT. Numba is loaded with `rl.search.search`."""

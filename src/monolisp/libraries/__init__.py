"""Foreign libraries: recipes as data, which recipe answers to a name, and building them into static archives."""

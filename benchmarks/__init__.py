"""How fast and how lean the norms are, against BatchNorm on the spot."""

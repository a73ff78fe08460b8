"""Photos kept as a few of their points: how points are chosen, coded and stored in a file."""

"""Running an evaluation: what is measured on which sketches, and what it is compared with."""

"""The pipelines of the other methods on the same engine: PI-REC, X-GANs, photo to sketch."""

"""What is kept: third-party weights, model folders and their files, downloads, and addresses of models.

The third-party weights are used as ``weights.locate("hed")`` and ``weights.fetch("hed")``.
"""

from .third_party import SOURCES, MissingWeights, Source, available, cache_folder, fetch, locate, sha256_of

__all__ = ["SOURCES", "MissingWeights", "Source", "available", "cache_folder", "fetch", "locate", "sha256_of"]

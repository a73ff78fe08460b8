"""Faces drawn by a procedure, for runs that have no photos."""

from .procedural import ProceduralFaces

__all__ = ["ProceduralFaces"]

"""Data: photos become prepared folders of photo, contour, detail and artist maps, which torch Datasets read."""

from __future__ import annotations

from .cuhk import prepare_cuhk
from .joined import JoinedPhotos, prepared_photos
from .manifest import SettingsDiffer
from .mirrored import MirroredPhotos
from .photos import PreparedPhotos
from .prepare import Report, prepare_photos
from .procedural import ProceduralFaces

__all__ = [
    "JoinedPhotos",
    "MirroredPhotos",
    "PreparedPhotos",
    "ProceduralFaces",
    "Report",
    "SettingsDiffer",
    "prepare_cuhk",
    "prepare_photos",
    "prepared_photos",
]

"""Data: photos become prepared folders of photo, contour, detail and artist maps, which torch Datasets read."""

from __future__ import annotations

from .conditions import PhotosWith, photos_with
from .cuhk import prepare_cuhk
from .joined import JoinedPhotos, prepared_photos
from .manifest import SettingsDiffer
from .mirrored import MirroredPhotos
from .pair_folders import prepare_pairs
from .pairs import PairedPhotos, photo_pairs
from .photos import PreparedPhotos
from .prepare import Report, prepare_photos
from .procedural import ProceduralFaces
from .scenes import Scenes
from .varied import VariedPhotos, varied_photos

__all__ = [
    "JoinedPhotos",
    "MirroredPhotos",
    "PairedPhotos",
    "PhotosWith",
    "PreparedPhotos",
    "ProceduralFaces",
    "Report",
    "Scenes",
    "SettingsDiffer",
    "VariedPhotos",
    "photo_pairs",
    "photos_with",
    "prepare_cuhk",
    "prepare_pairs",
    "prepare_photos",
    "prepared_photos",
    "varied_photos",
]

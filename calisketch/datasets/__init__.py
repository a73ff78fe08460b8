"""Data: photos become prepared folders of photo, contour, detail and artist maps, which torch Datasets read."""

from __future__ import annotations

from .drawn.procedural import ProceduralFaces
from .manifest import SettingsDiffer
from .preparing.cuhk import prepare_cuhk
from .preparing.pairs import prepare_pairs
from .preparing.photos import Report, prepare_photos
from .reading.base_store import BaseStore
from .reading.conditioned_photos import PhotosWith, photos_with
from .reading.drawn_photos import DrawnPhotos, drawn_photos
from .reading.grounded_photos import OtherGrounds, grounded_pairs
from .reading.joined_photos import JoinedPhotos, prepared_photos
from .reading.mirrored_photos import MirroredPhotos
from .reading.mixed_photos import MixedPhotos, with_pairs
from .reading.moved_photos import VariedPhotos, varied_photos
from .reading.paired_photos import PairedPhotos, photo_pairs
from .reading.prepared_photos import PreparedPhotos
from .reading.scenes import Scenes

__all__ = [
    "BaseStore",
    "DrawnPhotos",
    "JoinedPhotos",
    "MirroredPhotos",
    "MixedPhotos",
    "OtherGrounds",
    "PairedPhotos",
    "PhotosWith",
    "PreparedPhotos",
    "ProceduralFaces",
    "Report",
    "Scenes",
    "SettingsDiffer",
    "VariedPhotos",
    "drawn_photos",
    "grounded_pairs",
    "photo_pairs",
    "photos_with",
    "prepare_cuhk",
    "prepare_pairs",
    "prepare_photos",
    "prepared_photos",
    "varied_photos",
    "with_pairs",
]

"""How near faces come to certain people."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from calisketch.datasets import PreparedPhotos, ProceduralFaces, prepare_photos
from calisketch.evaluation.measures.identity import FaceIdentity
from calisketch.evaluation.measures.pixel import to_uint8
from calisketch.evaluation.running.people import NearestPerson


def test_the_nearest_of_the_people_in_training_is_found(tmp_path: Path) -> None:
    faces = ProceduralFaces(6, 64)
    for place in range(6):
        path = tmp_path / "raw" / ("train" if place < 4 else "test") / f"{place}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(to_uint8(faces[place]["photo"][None])[0]).save(path)
    root = prepare_photos(tmp_path / "raw", tmp_path / "prepared", size=64, align=False, contour="none", workers=0).out
    network = FaceIdentity(lambda images: images.reshape(len(images), -1), None)
    figure = NearestPerson(root, network=network)
    people, strangers = PreparedPhotos(root, "train"), PreparedPhotos(root, "test")
    known = torch.stack([people[place]["photo"] for place in range(len(people))])
    batch = torch.stack([strangers[place]["photo"] for place in range(2)])
    found = figure({"photo": batch}, batch)
    cosines = network.embed(batch) @ network.embed(known).T
    np.testing.assert_allclose(found, cosines.max(1), rtol=1e-6)
    assert torch.allclose(figure({"photo": known}, known), torch.ones(len(known), dtype=torch.float64))
    assert (found < 1).all()
    assert not figure.higher_is_better
    assert f"{len(people)} train photos" in figure.says


def test_people_must_be_named() -> None:
    with pytest.raises(ValueError, match="Give people=FOLDER"):
        NearestPerson(None)

"""Identity: alignment against scikit-image, embeddings against a plain cosine, real people where photos are there."""

from __future__ import annotations

from dataclasses import astuple
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from skimage.transform import SimilarityTransform
from skimage.transform import warp as skimage_warp

from calisketch import weights
from calisketch.boundary.alignment import canonical_eyes
from calisketch.evaluation import FaceIdentity, identity_cosine, nearest_training_identity, to_uint8
from calisketch.evaluation.measures.identity import TEMPLATE, similarity_to_template

POINTS = np.array([[48.0, 65.5], [80.0, 65.4], [63.9, 84.2], [50.8, 97.4], [78.2, 98.1]])  # CUHK's mean, of 128 pixels


def flat(faces: NDArray[np.float32]) -> NDArray[np.float32]:
    """A stand-in for ArcFace: the pixels themselves, coarsely."""
    return np.asarray(faces[:, :, 4::8, 4::8].reshape(len(faces), -1))


def blobs(count: int, seed: int) -> torch.Tensor:
    coarse = torch.rand(count, 3, 8, 8, generator=torch.Generator().manual_seed(seed))
    return torch.nn.functional.interpolate(coarse, 128, mode="bilinear")


def estimated(points: NDArray[np.float64]) -> NDArray[np.float64]:
    transform = SimilarityTransform()
    estimate = getattr(SimilarityTransform, "from_estimate", None)  # scikit-image 0.26; before, in place
    if estimate is not None:
        transform = estimate(points, TEMPLATE)
    else:
        transform.estimate(points, TEMPLATE)
    return np.asarray(transform.params[:2])


def test_five_points_go_to_arcfaces_by_scikit_images_similarity() -> None:
    """Umeyama's least squares, to 1e-9 pixels."""
    rng = np.random.default_rng(0)
    for _ in range(5):
        turn = rng.uniform(-0.4, 0.4)
        rotation = np.array([[np.cos(turn), -np.sin(turn)], [np.sin(turn), np.cos(turn)]])
        points = POINTS @ rotation.T * rng.uniform(0.5, 3) + rng.normal(0, 3, (5, 2)) + rng.uniform(-50, 50, 2)
        np.testing.assert_allclose(similarity_to_template(points, 128), estimated(points), atol=1e-9)


def test_without_points_the_canonical_eyes_come_to_arcfaces_eyes() -> None:
    matrix = similarity_to_template(np.full((5, 2), np.nan), 128)
    eyes = np.c_[np.array(canonical_eyes(128)), np.ones(2)] @ matrix.T
    np.testing.assert_allclose(eyes, TEMPLATE[:2], atol=1e-9)


def test_a_generated_face_is_aligned_by_the_points_of_its_photo() -> None:
    seen = []

    def detector(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
        seen.append(rgb)
        return POINTS + len(seen)

    photo, face = blobs(2, 0), blobs(2, 1)
    network = FaceIdentity(flat, detector)
    got = identity_cosine(photo, face, network)
    assert [image.tobytes() for image in seen] == [image.tobytes() for image in to_uint8(photo)]
    for number in range(2):
        five = (POINTS + number + 1)[None]
        one, other = (network.embed(part[number : number + 1], five)[0] for part in (photo, face))
        assert got[number] == pytest.approx(float(one @ other) / np.linalg.norm(one) / np.linalg.norm(other), abs=1e-12)


def test_equal_images_have_cosine_1_and_opposite_ones_minus_1() -> None:
    network = FaceIdentity(flat, None)
    photo = blobs(3, 2)
    assert identity_cosine(photo, photo, network) == pytest.approx(np.ones(3), abs=1e-12)
    assert identity_cosine(torch.ones(1, 3, 64, 64), torch.zeros(1, 3, 64, 64), network) == pytest.approx(
        [-1], abs=1e-6
    )
    assert np.isnan(network.points(photo)).all()


def test_embeddings_have_unit_length_and_do_not_depend_on_batches() -> None:
    network = FaceIdentity(flat, lambda rgb: POINTS)
    found = network.embed(blobs(5, 3), batch_size=2)
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(5))
    np.testing.assert_allclose(found, network.embed(blobs(5, 3), batch_size=5), atol=1e-12)


def test_a_copied_training_photo_is_found_and_its_closeness_set_beside_the_true_photos() -> None:
    network = FaceIdentity(flat, lambda rgb: POINTS)
    training, photo = blobs(6, 4), blobs(3, 5)
    face = torch.stack([training[4], photo[1], training[0]])
    found = nearest_training_identity(face, photo, training, network)
    assert found.index[[0, 2]].tolist() == [4, 0]
    assert found.cosine[[0, 2]] == pytest.approx([1, 1], abs=1e-9)
    assert (found.photo_cosine < 0.999).all()
    assert found.cosine[1] == found.photo_cosine[1]  # a face that is its photo is as near to others as the photo
    assert found.index[1] == found.photo_index[1]
    again = nearest_training_identity(face, photo, network.embed(training), network)
    for one, other in zip(astuple(found), astuple(again), strict=True):
        np.testing.assert_array_equal(one, other)


def test_what_is_not_an_aligned_face_is_refused(tmp_path: Path) -> None:
    network = FaceIdentity(flat, None)
    with pytest.raises(ValueError, match="must be square"):
        identity_cosine(torch.zeros(1, 3, 64, 65), torch.zeros(1, 3, 64, 65), network)
    with pytest.raises(ValueError, match="same shape"):
        identity_cosine(torch.zeros(1, 3, 64, 64), torch.zeros(1, 3, 65, 65), network)
    with pytest.raises(ValueError, match=r"points must be \(1, 5, 2\)"):
        network.embed(torch.zeros(1, 3, 64, 64), np.zeros((2, 5, 2)))
    with pytest.raises(ValueError, match="must be different ones"):
        similarity_to_template(np.ones((5, 2)), 64)
    with pytest.raises(ValueError, match="training must be photos"):
        nearest_training_identity(blobs(1, 0), blobs(1, 0), np.zeros((0, 3)), network)
    (tmp_path / "broken.onnx").write_bytes(b"no network")
    with pytest.raises(ValueError, match=r"broken\.onnx is not a network that OpenCV reads"):
        FaceIdentity.from_pretrained(tmp_path / "broken.onnx", detect=False)
    with pytest.raises(weights.MissingWeights, match="no ArcFace weights at"):
        FaceIdentity.from_pretrained(tmp_path / "none.onnx")


@pytest.fixture(scope="module")
def people(cuhk_root: Path) -> torch.Tensor:
    """Eight of CUHK's photos at 128 pixels, as they are prepared."""
    files = sorted((cuhk_root / "photos").iterdir())[::24][:8]
    squares = [Image.open(file).convert("RGB").crop((0, 25, 200, 225)).resize((128, 128)) for file in files]
    return torch.stack([torch.from_numpy(np.array(square)).permute(2, 0, 1) / 255 for square in squares])


@pytest.fixture
def arcface(shared_weights: Path) -> FaceIdentity:
    return FaceIdentity.from_pretrained()


def test_real_people_are_like_themselves_and_unlike_others(people: torch.Tensor, arcface: FaceIdentity) -> None:
    points = arcface.points(people)
    assert np.abs(points.mean(0) - POINTS).max() < 3
    cosines = arcface.embed(people, points) @ arcface.embed(people, points).T
    assert np.diag(cosines) == pytest.approx(np.ones(8))
    others = cosines[~np.eye(8, dtype=bool)]
    assert others.mean() < 0.2
    assert others.max() < 0.6
    softened = torch.nn.functional.avg_pool2d(people, 3, 1, 1, count_include_pad=False)
    assert identity_cosine(people, softened, arcface).min() > 0.8


def test_embeddings_are_those_of_the_usual_path(people: torch.Tensor, arcface: FaceIdentity) -> None:
    """scikit-image's similarity and bilinear warp, OpenCV's blob: other interpolation, so cosines of .99 and more."""
    network = cv2.dnn.readNetFromONNX(str(weights.locate("arcface")))
    points = arcface.points(people)
    for image, five, ours in zip(to_uint8(people), points, arcface.embed(people, points), strict=True):
        back = SimilarityTransform(matrix=np.r_[estimated(five), [[0, 0, 1]]]).inverse
        face = skimage_warp(image, back, output_shape=(112, 112), preserve_range=True)
        network.setInput(cv2.dnn.blobFromImage(face.astype(np.float32), 1 / 127.5, (112, 112), (127.5,) * 3))
        theirs = network.forward()[0]
        assert float(ours @ theirs) / np.linalg.norm(theirs) > 0.99


def test_opencv_runs_the_network_as_onnx_runtime_does(arcface: FaceIdentity) -> None:
    runtime = pytest.importorskip("onnxruntime", reason="needs the export extra")
    session = runtime.InferenceSession(str(weights.locate("arcface")), providers=["CPUExecutionProvider"])
    faces = np.random.default_rng(0).uniform(-1, 1, (3, 3, 112, 112)).astype(np.float32)
    theirs = session.run(None, {session.get_inputs()[0].name: faces})[0]
    np.testing.assert_allclose(arcface.network(faces), theirs, atol=1e-4 * np.abs(theirs).max())

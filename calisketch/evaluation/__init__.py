"""Figures of merit for generated faces and calibrated sketches, each with a test against an independent implementation.

Image by image: `psnr`, `ssim`, `lpips`, `identity_cosine`, `precision_recall`, `strokes_kept`. Of whole sets of images:
`frechet_distance`, `kernel_distance` and `gaussian_mmd` of `InceptionFeatures`. How sure any of them is: `bootstrap`,
`jackknife`, `paired_difference`. Whether faces are copies: `nearest_training_identity`. All of them at once, for models
and baselines, on frozen test sketches: `evaluate`, which gives a `Report`.
"""

from .measures.distribution import InceptionFeatures, KernelDistance, frechet_distance, gaussian_mmd, kernel_distance
from .measures.edges import EdgeCounts, PrecisionRecall, edge_counts, precision_recall, strokes_kept
from .measures.identity import FaceIdentity, NearestIdentity, identity_cosine, nearest_training_identity
from .measures.intervals import Interval, bootstrap, jackknife, paired_difference
from .measures.perceptual import lpips
from .measures.pixel import psnr, ssim, to_uint8
from .reports.report import Report
from .running.evaluating import evaluate
from .running.frozen import ChangedSketches, FrozenSketches, benchmark_sketches

__all__ = [
    "ChangedSketches",
    "EdgeCounts",
    "FaceIdentity",
    "FrozenSketches",
    "InceptionFeatures",
    "Interval",
    "KernelDistance",
    "NearestIdentity",
    "PrecisionRecall",
    "Report",
    "benchmark_sketches",
    "bootstrap",
    "edge_counts",
    "evaluate",
    "frechet_distance",
    "gaussian_mmd",
    "identity_cosine",
    "jackknife",
    "kernel_distance",
    "lpips",
    "nearest_training_identity",
    "paired_difference",
    "precision_recall",
    "psnr",
    "ssim",
    "strokes_kept",
    "to_uint8",
]

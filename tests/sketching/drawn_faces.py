"""A crude face, drawn here: no research image."""

from __future__ import annotations

import torch
from torch import Tensor


def drawn_faces(batch: int, size: int) -> Tensor:
    """Crude faces in the canonical alignment, (batch, 3, size, size): wall, hair, face, eyes, brows, nose, mouth."""
    y, x = torch.meshgrid(torch.arange(size) + 0.5, torch.arange(size) + 0.5, indexing="ij")
    x, y = x * 256.0 / size, y * 256.0 / size

    def ellipse(cx: float, cy: float, ax: float, ay: float) -> Tensor:
        """1 inside, 0 outside, about a pixel of a 256 pixel image soft."""
        inside = 1.0 - torch.sqrt(((x - cx) / ax) ** 2 + ((y - cy) / ay) ** 2)
        return torch.sigmoid(inside * min(ax, ay) * 1.5)

    faces = []
    for k in range(batch):
        wide = 64.0 + 3.0 * (k % 4)
        photo = torch.stack((0.35 + 0.0005 * x, 0.55 + 0.0003 * y, 0.8 - 0.0003 * x))
        strands = 0.04 * torch.sin(x / (3.0 + k % 3) + 0.02 * y)
        hair = torch.stack((0.15 + strands, 0.12 + strands, 0.1 + strands))
        skin = torch.tensor([0.9, 0.75, 0.65]).view(3, 1, 1) - 0.0008 * (x - 128.0).abs()
        for mask, colour in (
            (ellipse(128.0, 118.0, wide + 22.0, 106.0), hair),
            (ellipse(128.0, 152.0, wide, 86.0), skin),
            (ellipse(96.0, 131.0, 12.0, 5.0), hair),
            (ellipse(160.0, 131.0, 12.0, 5.0), hair),
            (ellipse(94.0, 112.0, 18.0, 3.0), hair),
            (ellipse(162.0, 112.0, 18.0, 3.0), hair),
            (ellipse(128.0, 172.0, 9.0, 3.0), skin * 0.6),
            (ellipse(128.0, 200.0, 22.0, 5.0), skin * torch.tensor([0.8, 0.45, 0.45]).view(3, 1, 1)),
        ):
            photo = photo * (1.0 - mask) + colour * mask
        faces.append(photo)
    return torch.stack(faces).clamp(0.0, 1.0)

"""Make the base drawings that the drawing mixture draws from: python tools/base_drawings.py data/general256

They lie in FOLDER/bases, about 90 kB a photo, and are made once; what is there already and whole is kept. With --artist
MODEL a learned hand draws every photo, too. An interrupted run goes on where it was.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from calisketch.datasets import BaseStore, prepared_photos
from calisketch.sketching import LearnedStyle


class _Made(Dataset[int]):
    """Item k makes, or reads, the base drawings of photo k."""

    def __init__(self, photos: Dataset[dict[str, torch.Tensor]], store: BaseStore) -> None:
        self.photos, self.store = photos, store

    def __len__(self) -> int:
        return len(self.photos)  # type: ignore[arg-type]

    def __getitem__(self, index: int) -> int:
        if not 0 <= index < len(self):
            raise IndexError(index)
        self.store.base(self.photos[index]["photo"])
        return index


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the base drawings of prepared photos.")
    parser.add_argument("folder", type=Path, help="a prepared folder")
    parser.add_argument("--bases", type=Path, default=None, help="where to keep them; default: FOLDER/bases")
    parser.add_argument("--artist", type=Path, default=None, help="a photo-to-sketch model's folder")
    parser.add_argument("--splits", nargs="+", default=["train", "validation"], help="of the prepared folder")
    parser.add_argument("--limit", type=int, default=None, help="only the first so many photos of each split")
    parser.add_argument("--workers", type=int, default=0, help="processes beside this one")
    arguments = parser.parse_args()
    store = BaseStore(
        arguments.bases or arguments.folder / "bases", arguments.artist and LearnedStyle(arguments.artist)
    )
    for split in arguments.splits:
        photos = prepared_photos(arguments.folder, split)
        count = len(photos) if arguments.limit is None else min(arguments.limit, len(photos))
        made = torch.utils.data.Subset(_Made(photos, store), range(count))
        loader = DataLoader(made, batch_size=None, num_workers=arguments.workers)
        for _ in tqdm(loader, desc=split, total=count, unit="photo", mininterval=5.0):
            pass
    print(f"{store.folder}: done")


if __name__ == "__main__":
    main()

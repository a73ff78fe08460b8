from __future__ import annotations

import multiprocessing
from itertools import islice

import pytest
import torch
from toy_stages import Photos, draw

from calisketch.stage import Batch
from calisketch.training.batches import SampleOrder, TrainingBatches, evenly_chosen, permutation, validation_batches

CPU = torch.device("cpu")


def batches(count: int = 10, **settings: object) -> TrainingBatches:
    chosen = {"batch_size": 4, "accumulate": 1, "seed": 5, "device": CPU} | settings
    return TrainingBatches(Photos(count), draw, **chosen)  # type: ignore[arg-type]


def test_every_epoch_is_a_permutation_and_no_two_are_alike():
    orders = [permutation(30, 3, epoch) for epoch in range(4)]
    assert all(sorted(order) == list(range(30)) for order in orders)
    assert len({tuple(order) for order in orders}) == 4
    assert permutation(30, 3, 2) == orders[2]
    assert permutation(30, 4, 2) != orders[2]


def test_stream_has_every_sample_once_an_epoch_even_where_batches_straddle():
    order = SampleOrder(10, seed=1)
    keys = [key for first in range(0, 40, 4) for key in order.slice(first, 4)]
    for epoch in range(4):
        assert sorted(sample for e, sample in keys if e == epoch) == list(range(10))
    assert SampleOrder(10, seed=1).slice(18, 4) == keys[18:22]


def test_batches_from_a_later_step_equal_those_of_an_uninterrupted_stream():
    straight = list(islice(batches().after(0), 8))
    resumed = list(islice(batches().after(20), 3))
    for left, right in zip(straight[5:], resumed, strict=True):
        for name in left[0]:
            assert torch.equal(left[0][name], right[0][name])


def test_sketches_are_seeded_by_run_epoch_and_sample_also_across_epochs():
    third = next(batches().after(8))[0]  # positions 8..11 of 10 samples: two of epoch 0, two of epoch 1
    first, second = permutation(10, 5, 0)[8:], permutation(10, 5, 1)[:2]
    assert third["index"].tolist() == first + second
    photos = Photos(10)
    for row, (epoch, sample) in enumerate([(0, first[0]), (0, first[1]), (1, second[0]), (1, second[1])]):
        expected = draw(photos[sample]["photo"][None], seed=5, epoch=epoch, index=[sample])
        assert torch.equal(third["sketch"][row : row + 1], expected)


def test_accumulation_and_processes_share_out_one_large_batch():
    large = next(batches(batch_size=8).after(24))[0]["index"].tolist()
    micro = next(batches(batch_size=4, accumulate=2).after(24))
    assert [index for batch in micro for index in batch["index"].tolist()] == large
    shares = [next(batches(processes=2, rank=rank).after(24))[0]["index"].tolist() for rank in (0, 1)]
    assert shares[0] + shares[1] == large


def test_loading_leaves_the_global_random_generator_alone():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    next(batches().after(0))
    assert torch.equal(torch.get_rng_state(), before)


def test_worker_processes_give_the_same_batches():
    plain = list(islice(batches().after(4), 2))
    loaded = list(islice(batches(workers=1).after(4), 2))
    for left, right in zip(plain, loaded, strict=True):
        assert torch.equal(left[0]["sketch"], right[0]["sketch"])


def test_validation_sketches_do_not_depend_on_the_batch_size_and_indices_are_their_own():
    one = validation_batches(Photos(5), draw, batch_size=5, first_index=10, device=CPU)
    many = validation_batches(Photos(5), draw, batch_size=2, first_index=10, device=CPU)
    assert [len(batch["photo"]) for batch in many] == [2, 2, 1]
    assert torch.equal(torch.cat([batch["sketch"] for batch in many]), one[0]["sketch"])
    assert one[0]["index"].tolist() == [10, 11, 12, 13, 14]


def test_an_empty_data_set_is_refused():
    with pytest.raises(ValueError, match="empty"):
        SampleOrder(0, seed=0)


def test_of_a_large_validation_set_some_are_taken_at_even_distances():
    assert [int(item["index"]) for item in evenly_chosen(Photos(10), 4)] == [0, 2, 5, 7]
    assert len(evenly_chosen(Photos(10), 10)) == 10


class Damaged(Photos):
    def __getitem__(self, place: int) -> Batch:
        raise OSError("photo 7 of faces.tar is damaged:\nits digest is another")


def test_an_error_in_a_worker_process_reads_as_it_does_without_one():
    for workers in (0, 1):
        loading = TrainingBatches(Damaged(), draw, batch_size=4, accumulate=1, seed=5, device=CPU, workers=workers)
        with pytest.raises(OSError, match=r"(?s)\Aphoto 7 of faces\.tar is damaged:.its digest is another\Z"):
            next(loading.after(0))
        assert multiprocessing.active_children() == []

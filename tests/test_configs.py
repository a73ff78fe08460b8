"""Every shipped YAML is composed and instantiated; what the paper's preset says equals the constructors' defaults."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hydra
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import DictConfig, OmegaConf

from calisketch.commands.train_config import check_config, conf_dir
from calisketch.datasets import prepared_photos
from calisketch.isn import ISN
from calisketch.networks import VGG19, EncoderDecoder, MRUUNet, PatchGAN70, SNPatchGAN, UNet
from calisketch.scn import SCN
from calisketch.sketching.styles import SketchMixture
from calisketch.stage import Schedule
from calisketch.systems import CaliSketchSystem, Pix2Pix, isn_only, pix2pix
from calisketch.systems.cali_sketch import PAPER_SCHEDULES
from calisketch.training.settings import Settings

CONF = conf_dir()
TINY = {
    "scn": ["system.scn.discriminator.width=4", "system.scn.generator.width=4"],
    "isn": [
        "network@system.isn.vgg=vgg19_random",
        "system.isn.lpips_weight=0",
        "system.isn.discriminator.width=4",
        "system.isn.generator.width=4",
    ],
    "painter": [
        "system.painter.lpips={_target_:calisketch.networks.LPIPS.random}",
        "system.painter.discriminator.width=4",
        "system.painter.generator.width=8",
    ],
    "plan": ["system.plan.width=8"],
    "pix2pix": ["system.pix2pix.discriminator.width=4", "system.pix2pix.generator.width=4"],
    "sketcher": [
        "system.sketcher.lpips_weight=0",
        "system.sketcher.discriminator.width=4",
        "system.sketcher.generator.width=4",
    ],
    "x_gan": [
        "network@system.x_gan.vgg=vgg19_random",
        "system.x_gan.discriminator.width=4",
        "system.x_gan.generator.width=4",
    ],
    "pi_rec": [
        "network@system.pi_rec.vgg=vgg19_random",
        "system.pi_rec.discriminator.width=4",
        "system.pi_rec.generator.width=4",
    ],
}


def names(group: str) -> list[str]:
    folder = CONF / group
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob("*.yaml"))


@pytest.fixture(autouse=True)
def _composing() -> Iterator[None]:
    with initialize_config_dir(str(CONF), version_base="1.3"):
        yield


def composed(*overrides: str) -> DictConfig:
    return compose("train", list(overrides))


def tiny_system(*overrides: str) -> Any:
    """The configured system with networks of few channels."""
    there = composed(*overrides).system
    smaller = [override for name, each in TINY.items() if name in there for override in each]
    if "isn" in there and "vgg_width" in there.isn.discriminator:
        smaller.append("system.isn.discriminator.vgg_width=8")
    return build(composed(*overrides, *smaller).system)


def build(node: Any) -> Any:
    return hydra.utils.instantiate(node, _convert_="all")


def test_all_expected_files_are_there():
    assert {
        "paper/cali_sketch",
        "paper/improved_1",
        "paper/improved_2",
        "paper/detail_only",
        "paper/contour_only",
        "small/cali_sketch",
        "smoke/cali_sketch",
        "own/gpu_256",
        "paper/pix2pix",
        "small/pix2pix",
        "smoke/pix2pix",
        "paper/isn_only",
        "small/isn_only",
        "own/plus",
        "small/plus",
        "trials/ablation",
    } <= set(names("experiment"))
    tried = {"network", "system", "data", "experiment", "debug"}
    tried |= {"recipe", "comparison"}  # test_recipe.py, test_compare_command.py
    assert {path.name for path in CONF.iterdir() if path.is_dir()} == tried, "a new group needs a test here"


@pytest.mark.parametrize("name", names("experiment"))
def test_every_experiment_is_sound_and_builds_its_system(name: str):
    config = composed(f"experiment={name}", "data.root=somewhere")
    check_config(config)
    assert config.name == name
    assert config.run_dir == f"runs/{name}"
    system = tiny_system(f"experiment={name}", "data.root=somewhere")
    assert [stage.name for stage in system.stages] == list(config.system.schedules)
    build(config.data.draw)


@pytest.mark.parametrize("name", names("debug"))
def test_every_debug_file_goes_on_top_of_an_experiment(name: str):
    config = composed("experiment=smoke/cali_sketch", f"debug={name}")
    check_config(config)
    assert config.name == name


@pytest.mark.parametrize("name", [name for name in names("network") if not name.startswith("vgg")])
def test_every_network_file_builds(name: str):
    generator = name in ("encoder_decoder", "mru_unet", "painting_unet", "quarter_unet", "unet")
    role = "generator" if generator else "discriminator"
    system, part = ("faces", "painter") if name == "face_discriminator" else ("cali_sketch", "isn")
    config = composed(f"system={system}", f"network@system.{part}.{role}={name}", f"system.{part}.{role}.width=4")
    build(config.system[part][role])


def test_the_vgg_files_build(shared_weights: Path):
    assert composed("experiment=smoke/cali_sketch").system.isn.vgg._target_.endswith("VGG19.random")
    assert build(composed().system.isn.vgg).width == 64


@pytest.mark.parametrize("name", names("system"))
def test_every_system_file_builds(name: str):
    assert tiny_system(f"system={name}").name == name


@pytest.mark.parametrize("name", names("data"))
def test_every_data_file_names_what_its_classes_take(name: str):
    config = composed(f"data={name}", "data.root=somewhere").data
    for part in ("train", "validation"):
        options = {key: value for key, value in config[part].items() if key != "_target_"}
        inspect.signature(hydra.utils.get_object(config[part]._target_)).bind(**options)


def test_the_stand_in_of_the_smoke_preset_builds():
    config = composed("experiment=smoke/cali_sketch").data
    assert config.root is None
    assert len(build(config.stand_in.train)) == 16
    photos, others = (build(config.stand_in[part])[0]["photo"] for part in ("train", "validation"))
    assert photos.shape == (3, 64, 64)
    assert not photos.equal(others)


def defaults(target: Any) -> dict[str, Any]:
    parameters = inspect.signature(target).parameters.values()
    return {p.name: p.default for p in parameters if p.default is not inspect.Parameter.empty}


def differences(node: DictConfig, target: Any, ignored: set[str]) -> dict[str, tuple[Any, Any]]:
    expected = defaults(target)
    given = {key: value for key, value in OmegaConf.to_container(node).items() if key not in {"_target_", *ignored}}
    assert set(expected) - ignored <= set(given), "the preset shows every default"
    return {key: (value, expected[key]) for key, value in given.items() if value != expected[key]}


def test_the_papers_preset_equals_the_constructors_defaults():
    config = composed("experiment=paper/cali_sketch", "data.root=somewhere")
    system = config.system
    assert differences(system, CaliSketchSystem, {"scn", "isn", "schedules"}) == {}
    assert differences(system.scn, SCN, {"generator", "discriminator"}) == {}
    assert differences(system.isn, ISN, {"generator", "discriminator", "vgg"}) == {}
    assert differences(system.scn.generator, EncoderDecoder, {"dropout", "upsampling"}) == {}  # the relatives'
    assert differences(system.isn.generator, EncoderDecoder, {"out_channels", "head", "dropout", "upsampling"}) == {}
    assert differences(system.isn.vgg, VGG19.from_pretrained, {"path"}) == {}
    for network, channels in ((system.scn, 1), (system.isn, 3)):
        assert differences(network.discriminator, SNPatchGAN, {"in_channels"}) == {}
        assert network.discriminator.in_channels == channels
    assert {name: build(node) for name, node in system.schedules.items()} == PAPER_SCHEDULES
    assert differences(config.data.draw, SketchMixture, {"weights", "ranges"}) == {}
    assert build(config.data.draw).cumulated.tolist() == SketchMixture().cumulated.tolist()
    assert differences(config.data.train, prepared_photos, {"root", "size", "inside"}) == {}
    assert config.data.inside is False
    assert config.data.mirrored is False
    assert {key: config[key] for key in defaults(Settings)} == defaults(Settings)


def test_pix2pixs_preset_equals_the_constructors_defaults():
    config = composed("experiment=paper/pix2pix", "data.root=somewhere")
    node = config.system.pix2pix
    assert differences(node, Pix2Pix, {"generator", "discriminator"}) == {}
    assert differences(node.generator, UNet, set()) == {}
    assert differences(node.discriminator, PatchGAN70, {"in_channels", "spectral"}) == {}
    assert (node.discriminator.in_channels, node.discriminator.spectral) == (4, False)
    schedules = {name: build(each) for name, each in config.system.schedules.items()}
    assert schedules == pix2pix.PAPER_SCHEDULES
    assert schedules["pix2pix"] == Schedule(80_000, 2e-4, 1.0, (0.5, 0.999))
    assert (config.batch_size, config.ema_decay, config.data.size) == (1, 0.0, 256)


def test_isn_without_scn_is_the_isn_of_cali_sketch():
    alone, whole = composed("experiment=paper/isn_only", "data.root=somewhere"), composed("data.root=somewhere")
    assert alone.system.isn == whole.system.isn
    assert {name: build(node) for name, node in alone.system.schedules.items()} == isn_only.SCHEDULES
    steps = sum(schedule.iterations for schedule in whole.system.schedules.values())
    assert alone.system.schedules.isn.iterations == steps


@pytest.mark.parametrize("name", ["small/pix2pix", "small/isn_only"])
def test_the_small_baselines_see_as_many_images_as_cpu_small(name: str):
    def images(config: DictConfig) -> int:
        steps = sum(schedule.iterations for schedule in config.system.schedules.values())
        return steps * config.batch_size * config.accumulate

    baseline, whole = composed(f"experiment={name}"), composed("experiment=small/cali_sketch")
    assert images(baseline) == images(whole) == 25_600
    assert (baseline.data.size, baseline.precision) == (whole.data.size, whole.precision)


def test_the_papers_networks_built_from_the_preset_equal_those_of_the_constructors():
    config = composed("experiment=paper/cali_sketch", "data.root=somewhere").system
    vgg = VGG19.random(width=4)
    plain = CaliSketchSystem(SCN(), ISN(vgg=vgg))
    for name, network in (("scn", plain.scn), ("isn", plain.isn)):
        assert build(config[name].generator).config == network.generator.config
        shapes = [value.shape for value in build(config[name].discriminator).state_dict().values()]
        assert shapes == [value.shape for value in network.discriminator.state_dict().values()]


def test_the_presets_differ_in_what_their_names_say():
    assert composed("experiment=paper/improved_1").system.isn.generator.blocks == 16
    assert composed("experiment=paper/improved_1").system.scn.generator.blocks == 8
    assert isinstance(build(composed("experiment=paper/improved_2").system.isn.generator), MRUUNet)
    assert build(composed("experiment=paper/detail_only").system.scn).targets == ("detail",)
    assert build(composed("experiment=paper/contour_only").system.scn).targets == ("contour",)
    small = composed("experiment=small/cali_sketch")
    assert [small.system.schedules[stage].iterations for stage in ("scn", "isn", "joint")] == [1500, 1200, 500]
    assert (small.data.size, small.precision, small.system.scn.discriminator.width) == (128, "bf16-mixed", 32)
    assert build(small.system.schedules.joint) == Schedule(500, 1e-4, patience=None)

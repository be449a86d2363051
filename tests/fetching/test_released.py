import pytest

from gpt2_sampler.fetching.released import DATA_FILE, FILES, files_of
from gpt2_sampler.registry import RELEASED, aliases, canonical
from gpt2_sampler.weights.hparams import HParams


@pytest.mark.parametrize("name", ["117M", "124M", "117m", "124m"])
def test_two_names_in_any_case_mean_the_same_model(name: str) -> None:
    assert canonical(name) == "117M"
    assert aliases(name) == ("117M", "124M")


@pytest.mark.parametrize("name", ["117", "", "demo", "1558"])
def test_another_name_has_no_alias(name: str) -> None:
    assert canonical(name) is None
    assert aliases(name) == (name,)


def test_the_weights_are_four_bytes_a_parameter() -> None:
    parameters = {"117M": 124_439_808, "345M": 354_823_168}
    parameters |= {"774M": 774_030_080, "1558M": 1_557_611_200}
    assert parameters.keys() == FILES.keys() == RELEASED.keys()
    for name, files in FILES.items():
        assert HParams(**RELEASED[name].shape).n_parameters == parameters[name]
        sizes = {spec.name: [v.size for v in spec.versions] for spec in files}
        assert sizes[DATA_FILE] == [4 * parameters[name]]


def test_every_model_has_the_files_that_sampling_needs() -> None:
    for files in FILES.values():
        assert [spec.name for spec in files if not spec.optional] == [
            "checkpoint",
            "hparams.json",
            "encoder.json",
            "vocab.bpe",
            "model.ckpt.index",
            DATA_FILE,
        ]


def test_checksums_are_sha256() -> None:
    versions = [v for files in FILES.values() for spec in files for v in spec.versions]
    assert all(len(bytes.fromhex(v.sha256)) == 32 for v in versions if v.sha256)
    assert all(spec.has_sha256 for spec in FILES["117M"])


def test_of_a_model_that_openai_did_not_release_only_the_weights_are_large() -> None:
    assert [spec.name for spec in files_of("my-own") if spec.large] == [DATA_FILE]

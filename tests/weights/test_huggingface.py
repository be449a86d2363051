"""A Hugging Face folder gives transformers' logits and tokens, or one line says what is wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from gpt2_sampler import load_engine
from gpt2_sampler.decoding.generate import generate
from gpt2_sampler.decoding.sampling import Sampling
from gpt2_sampler.engines.engine import Engine
from gpt2_sampler.errors import CheckpointError
from gpt2_sampler.weights.checkpoint import open_checkpoint
from gpt2_sampler.weights.huggingface import save_huggingface
from tests.checkpoints import DATA, PRIMES, ROOT, random_weights

Change = Callable[[dict[str, np.ndarray]], object]
SAVED = DATA / "huggingface"
EXPECTED = np.load(SAVED / "expected.npz")
KINDS = ("plain", "gelu", "relu", "silu", "quick_gelu", "tanh")
"""As tools/make_huggingface_fixtures.py made them: activations, float16 and bfloat16 weights,
shards, a head of its own, no head and no prefix."""


def copy_of(kind: str, folder: Path) -> Path:
    return Path(shutil.copytree(SAVED / kind, folder / kind))


def engine_of(folder: Path, name: str) -> Engine:
    if name == "litert":
        return load_engine(folder, "cpu")
    pytest.importorskip("tensorflow")
    from gpt2_sampler.engines.tensorflow.engine import TensorFlowEngine

    return TensorFlowEngine(folder, "cpu")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("engine_name", ["litert", "tensorflow"])
def test_every_logit_and_the_greedy_tokens_are_transformers(
    kind: str, engine_name: str, tmp_path: Path
) -> None:
    engine = engine_of(copy_of(kind, tmp_path), engine_name)
    tokens = EXPECTED[f"{kind}_tokens"]
    for row, text in enumerate(tokens):
        expected = EXPECTED[f"{kind}_logits"][row]
        np.testing.assert_allclose(engine.logits(text.tolist()), expected, rtol=0, atol=1e-4)
    greedy = EXPECTED[f"{kind}_greedy"].tolist()
    [drawn] = generate(engine, tokens[0], length=len(greedy), sampling=Sampling(temperature=0))
    assert drawn == greedy


def test_the_head_is_separate_where_it_differs(tmp_path: Path) -> None:
    assert open_checkpoint(SAVED / "plain").hparams.tie_word_embeddings
    assert not open_checkpoint(SAVED / "quick_gelu").hparams.tie_word_embeddings
    folder = copy_of("quick_gelu", tmp_path)
    change_weights(folder, lambda w: w.update({"lm_head.weight": w["transformer.wte.weight"]}))
    checkpoint = open_checkpoint(folder)
    assert checkpoint.hparams.tie_word_embeddings
    assert "lm_head" not in checkpoint


def test_what_older_versions_saved_with_the_weights_is_ignored(tmp_path: Path) -> None:
    folder = copy_of("plain", tmp_path)
    before = open_checkpoint(folder)
    change_weights(
        folder,
        lambda w: w.update(
            {
                "transformer.h.0.attn.bias": np.ones([1, 1, 23, 23], np.uint8),
                "transformer.h.1.attn.masked_bias": np.array(-1e4, np.float32),
            }
        ),
    )
    after = open_checkpoint(folder)
    assert dict(after).keys() == dict(before).keys()


def test_what_is_saved_is_what_is_opened_bit_for_bit(tmp_path: Path) -> None:
    weights = random_weights(PRIMES)
    save_huggingface(tmp_path, PRIMES, weights, {"eos_token_id": 7})
    checkpoint = open_checkpoint(tmp_path)
    assert checkpoint.hparams == PRIMES
    for name, array in checkpoint.items():
        np.testing.assert_array_equal(array, weights[name])
    assert json.loads((tmp_path / "config.json").read_text())["eos_token_id"] == 7


def test_the_fingerprint_follows_the_content(tmp_path: Path) -> None:
    folder = copy_of("plain", tmp_path)
    before = open_checkpoint(folder).fingerprint
    assert before == open_checkpoint(SAVED / "plain").fingerprint
    path = folder / "model.safetensors"
    content = bytearray(path.read_bytes())
    content[-7] ^= 1
    path.write_bytes(content)
    assert open_checkpoint(folder).fingerprint != before
    change_config(copy_of("plain", tmp_path / "other"), layer_norm_epsilon=1e-6)
    assert open_checkpoint(tmp_path / "other" / "plain").fingerprint != before


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"model_type": "gpt_neo"}, "model_type must be 'gpt2', not 'gpt_neo'"),
        ({"model_type": None}, "model_type must be 'gpt2', not None"),
        ({"activation_function": "mish"}, "activation_function must be one of gelu_new, gelu,"),
        ({"activation_function": ["gelu"]}, "activation_function must be one of"),
        ({"layer_norm_epsilon": "small"}, "layer_norm_epsilon must be a number"),
        ({"scale_attn_weights": 1}, "scale_attn_weights must be true or false, not 1"),
        ({"add_cross_attention": True}, "add_cross_attention is set"),
        ({"quantization_config": {"bits": 4}}, "quantization_config is set"),
        ({"n_inner": 0}, "n_inner must be a whole number above 0, not 0"),
        ({"n_embd": "14"}, "n_embd must be a whole number above 0, not '14'"),
        ({"n_layer": 3}, "has no h.2.ln_1.weight, which config.json calls for"),
        ({"n_layer": 1}, "has 12 tensors that are not of a GPT-2"),
        ({"n_inner": 57}, "h.0.mlp.c_fc.weight is F32 [14, 56], config.json calls for"),
        ({"vocab_size": 62}, "wte.weight is F32 [61, 14], config.json calls for"),
        ({"tie_word_embeddings": False}, "has no lm_head.weight"),
    ],
)
def test_a_config_that_cannot_be_honoured_is_refused_by_name(
    change: dict[str, object], says: str, tmp_path: Path
) -> None:
    folder = copy_of("plain", tmp_path)
    change_config(folder, **change)
    refused(folder, says)


@pytest.mark.parametrize("name", ["vocab_size", "n_positions", "n_embd", "n_head", "n_layer"])
def test_a_number_missing_from_the_config_is_named(name: str, tmp_path: Path) -> None:
    folder = copy_of("plain", tmp_path)
    config = json.loads((folder / "config.json").read_text())
    del config[name]
    (folder / "config.json").write_text(json.dumps(config))
    refused(folder, f"config.json has no {name}")


def test_transformers_other_names_of_the_shape_will_do(tmp_path: Path) -> None:
    folder = copy_of("plain", tmp_path)
    config = json.loads((folder / "config.json").read_text())
    for ours, theirs in (
        ("n_embd", "hidden_size"),
        ("n_positions", "max_position_embeddings"),
        ("n_head", "num_attention_heads"),
        ("n_layer", "num_hidden_layers"),
    ):
        config[theirs] = config.pop(ours)
    config.pop("n_ctx", None)
    del config["model_type"]
    assert config["architectures"] == ["GPT2LMHeadModel"]
    (folder / "config.json").write_text(json.dumps(config))
    assert open_checkpoint(folder).hparams == open_checkpoint(SAVED / "plain").hparams


def test_settings_of_2019_say_only_the_shape(tmp_path: Path) -> None:
    folder = copy_of("plain", tmp_path)
    config = json.loads((folder / "config.json").read_text())
    names = ("vocab_size", "n_positions", "n_ctx", "n_embd", "n_head", "n_layer")
    kept = {name: config[name] for name in names if name in config}
    (folder / "config.json").write_text(json.dumps({**kept, "layer_norm_epsilon": 1e-05}))
    assert open_checkpoint(folder).hparams == open_checkpoint(SAVED / "plain").hparams
    (folder / "config.json").write_text(json.dumps({**kept, "afn": "gelu"}))
    refused(folder, "model_type must be 'gpt2', not None")  # a GPT-1


def test_the_usual_head_and_its_size_may_be_said_in_other_words(tmp_path: Path) -> None:
    folder = copy_of("plain", tmp_path)
    config = json.loads((folder / "config.json").read_text())
    config["n_ctx"] = config.pop("n_positions")
    config["n_inner"] = 4 * config["n_embd"]
    config["activation_function"] = "gelu_pytorch_tanh"
    (folder / "config.json").write_text(json.dumps(config))
    assert open_checkpoint(folder).hparams == open_checkpoint(SAVED / "plain").hparams


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda w: w.pop("transformer.ln_f.bias"), "has no ln_f.bias"),
        (lambda w: w.update({"h.0.x.weight": np.ones(3, np.float32)}), "such as 'h.0.x.weight'"),
        (lambda w: w.update({"ln_f.bias": np.ones(14, np.float32)}), "once more"),
        (lambda w: w.update({"transformer.ln_f.bias": np.ones(14, int)}), "ln_f.bias is I64 [14]"),
        (lambda w: w.update({"lm_head.weight": np.ones([3, 14], np.float32)}), "lm_head.weight is"),
    ],
)
def test_weights_missing_and_to_spare_are_named(change: Change, says: str, tmp_path: Path) -> None:
    folder = copy_of("plain", tmp_path)
    change_weights(folder, change)
    refused(folder, says)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "is not JSON"),
        ("[]", "is not a JSON object"),
        ("[" * 100_000, "is not JSON"),
        ("{}", "model_type must be"),
    ],
)
def test_a_config_that_is_none_is_named(text: str, says: str, tmp_path: Path) -> None:
    folder = copy_of("plain", tmp_path)
    (folder / "config.json").write_text(text)
    refused(folder, says)


@pytest.mark.parametrize(
    "files",
    [["../x.safetensors"], ["/etc/passwd"], ["x" * 300], [".."], ["nul\0"], [7], [], ["gone"]],
)
def test_shards_lie_beside_their_index(files: list[object], tmp_path: Path) -> None:
    folder = copy_of("silu", tmp_path)
    index = {"weight_map": {str(number): file for number, file in enumerate(files)}}
    (folder / "model.safetensors.index.json").write_text(json.dumps(index))
    refused(folder, "gone is missing" if files == ["gone"] else "names no files beside it")


FORMATS = SAVED.parent / "formats"


@pytest.mark.parametrize("kind", ["whole", "sharded", "legacy", "tensorflow"])
def test_other_files_of_the_same_weights_give_the_same_logits(kind: str, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(FORMATS / kind, tmp_path / kind))
    checkpoint = open_checkpoint(folder)
    for name, array in open_checkpoint(SAVED / "plain").items():
        np.testing.assert_array_equal(checkpoint[name], array)
    tokens = EXPECTED["plain_tokens"][0].tolist()
    logits = load_engine(folder, "cpu").logits(tokens)
    np.testing.assert_allclose(logits, EXPECTED["plain_logits"][0], rtol=0, atol=1e-4)


def test_safetensors_are_chosen_before_other_files(tmp_path: Path) -> None:
    folder = copy_of("plain", tmp_path)
    (folder / "pytorch_model.bin").write_bytes(b"nothing")
    open_checkpoint(folder)
    with pytest.raises(CheckpointError, match=r"pytorch_model\.bin is damaged"):
        open_checkpoint(folder / "pytorch_model.bin")


def test_no_library_is_needed_for_pytorch_files(tmp_path: Path) -> None:
    folder = Path(shutil.copytree(FORMATS / "sharded", tmp_path / "x"))
    assert loaded_with(folder) == "[]\n"


def test_heads_for_other_uses_are_passed_over(tmp_path: Path) -> None:
    folder = copy_of("plain", tmp_path)
    before = open_checkpoint(folder).fingerprint
    heads = ("v_head.summary.weight", "score.weight", "transformer.multiple_choice_head.bias")
    change_weights(folder, lambda w: w.update({name: np.ones(3, np.float32) for name in heads}))
    assert open_checkpoint(folder).fingerprint == before


def test_the_embedding_may_be_stored_as_the_head_alone(tmp_path: Path) -> None:
    folder = copy_of("plain", tmp_path)
    before = open_checkpoint(folder)
    embedding = before["wte"].copy()  # the file is mapped, and about to be written
    change_weights(folder, lambda w: w.update({"lm_head.weight": w.pop("transformer.wte.weight")}))
    after = open_checkpoint(folder)
    assert after.hparams == before.hparams
    np.testing.assert_array_equal(after["wte"], embedding)


def test_a_model_without_biases_has_zeros(tmp_path: Path) -> None:
    folder = copy_of("plain", tmp_path)

    def drop(weights: dict[str, np.ndarray]) -> None:
        for name in [name for name in weights if name.endswith(".bias")]:
            del weights[name]

    change_weights(folder, drop)
    checkpoint = open_checkpoint(folder)
    assert not checkpoint["h1/mlp/c_fc/b"].any()
    assert checkpoint["h1/mlp/c_fc/b"].shape == (56,)
    checkpoint.fingerprint  # noqa: B018


def test_float64_weights_are_taken_as_float32(tmp_path: Path) -> None:
    folder = copy_of("plain", tmp_path)
    before = {name: array.copy() for name, array in open_checkpoint(folder).items()}
    change_weights(folder, lambda w: w.update({n: a.astype("f8") for n, a in list(w.items())}))
    for name, array in open_checkpoint(folder).items():
        assert array.dtype == np.float32
        np.testing.assert_array_equal(array, before[name])


def test_a_folder_without_weights_says_so(tmp_path: Path) -> None:
    folder = copy_of("plain", tmp_path)
    (folder / "model.safetensors").unlink()
    refused(folder, "model.safetensors is missing")


def test_no_library_is_needed_to_open_and_run_it(tmp_path: Path) -> None:
    assert loaded_with(copy_of("plain", tmp_path)) == "[]\n"


def loaded_with(folder: Path) -> str:
    """The libraries that are loaded after the model in a fresh process."""
    program = f"""
import sys
from gpt2_sampler import load_engine
load_engine({str(folder)!r}, "cpu").logits([1, 2, 3])
heavy = ("safetensors", "tokenizers", "tensorflow", "torch", "h5py")
print([name for name in heavy if name in sys.modules])
"""
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout


def refused(folder: Path, says: str) -> None:
    with pytest.raises(CheckpointError) as error:
        open_checkpoint(folder)
    assert says in str(error.value)
    assert str(folder) in str(error.value)
    assert "\n" not in str(error.value)


def change_config(folder: Path, **changes: object) -> None:
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, **changes}))


def change_weights(folder: Path, change: Change) -> None:
    path = folder / "model.safetensors"
    weights = load_file(path)
    change(weights)
    save_file(weights, path)


def test_a_head_of_another_shape_is_refused_before_it_is_compared(tmp_path: Path) -> None:
    folder = copy_of("plain", tmp_path)
    head = {"dtype": "F32", "shape": [1 << 40, 0], "data_offsets": [0, 0]}
    text = json.dumps({"lm_head.weight": head}).encode()
    (folder / "model.safetensors").write_bytes(len(text).to_bytes(8, "little") + text)
    began = time.process_time()
    refused(folder, "is F32 [1099511627776, 0], config.json calls for")
    assert time.process_time() - began < 2  # seconds

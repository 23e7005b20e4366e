"""What a fit will need, told without weights, beside what real models keep and hold."""

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from plans import plan_of
from sklearn.compose import make_column_transformer
from sklearn.frozen import FrozenEstimator
from sklearn.linear_model import LogisticRegression, Ridge, RidgeCV
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from transformers import (
    BitsAndBytesConfig,
    GemmaConfig,
    GPT2Config,
    LlamaConfig,
    LlamaForCausalLM,
    MambaConfig,
)

from llmreg import (
    GRPO,
    Adapters,
    Device,
    DigitCodec,
    LLMRegressor,
    Method,
    PretrainedModel,
    RowSerializer,
    ZeroShot,
)
from llmreg.config.device import as_device
from llmreg.config.pretrained_model import as_pretrained
from llmreg.estimates.boosted_trees import BoostedTrees
from llmreg.estimates.kernel_ridge import TunedKernelRidge
from llmreg.estimates.row_estimates import RowEstimates
from llmreg.lm.adapters import adapter_config, adapter_weights
from llmreg.lm.building import build_model
from llmreg.lm.loading.base import fresh_base, pretrained_base
from llmreg.memory.needs import MemoryEstimate, StageMemory, estimate_memory
from llmreg.memory.quantised import quantised_bytes
from llmreg.memory.virtual_model import PeakBytes
from llmreg.methods import resolve_method
from llmreg.prompts.fitting import fit_prompts
from llmreg.training.policy import NumberPolicy, Targets, ZScale
from llmreg.training.steps import draw_noise

SIZES = dict(
    hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
    num_key_value_heads=2, head_dim=16,
)  # fmt: skip
SHAPES = {
    "llama": LlamaConfig(**SIZES),
    "gpt2": GPT2Config(n_embd=64, n_layer=2, n_head=4, bos_token_id=0, eos_token_id=0),
    "gemma": GemmaConfig(**SIZES),
}
ROWS = 20  # what is kept once for all of them hardly counts


def texts(n_words, n_rows=24):
    """A table of one text column; every row is equally long."""
    words = np.array(["red", "blue", "old", "new"])
    drawn = np.random.RandomState(0).choice(words, (n_rows, n_words))
    return pd.DataFrame({"words": [" ".join(row) for row in drawn]})


def regressor(model="tiny", method="ce", **params):
    alone = dict(text_features=False, estimates=None if as_pretrained(model) else "auto")
    params = dict(validation_fraction=None, dropout=0.0) | alone | params
    return LLMRegressor(model, method, sft_method="ce", **dict(device="cpu") | params)


def real_model(estimator, X):
    """The first stage's model, with weights, and X as it reads it."""
    y = np.linspace(0.0, 1.0, len(X))
    serializer = RowSerializer().fit(X, pd.Series(y))
    codec = DigitCodec() if estimator.codec is None else estimator.codec
    rows = serializer.serialize(X)
    codec.fit(y)
    plan = plan_of(estimator, rows, codec)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        known = as_pretrained(estimator.model)
        if known is None:
            base = fresh_base(estimator.model, plan, rows, codec)
        else:
            base = pretrained_base(known, codec)
        prompts, encoded = fit_prompts(plan, base, rows, codec)
        model = build_model(plan, base, prompts, encoded, codec)
    return model, encoded


def really_saved(estimator, X, stage="sft"):
    """Bytes that a real forward pass keeps for a row, for its backward pass."""
    model, encoded = real_model(estimator, X)
    method = resolve_method(estimator.fit_method if stage == "align" else "ce", "fit_method")
    if stage == "align" and not model.pretrained:
        model.add_lora(adapter_config(Adapters(estimator.adapters, depth=1.0), model.lm))
    model.checkpointing(as_device(estimator.device).gradient_checkpointing)
    model.train_mode(dropout=stage == "sft")
    z = torch.zeros(ROWS)
    noise = draw_noise(ROWS, method.num_draws, model.tree.n_levels, torch.Generator())
    scale = ZScale.from_tree(model.tree, 0.5, 0.3, "cpu", torch.float32)
    batch = encoded.batch(np.arange(ROWS), "cpu", torch.float32)
    targets = Targets(z=z, leaf=z.long(), weight=z + 1)
    with PeakBytes(model) as memory:
        loss = method.loss(NumberPolicy(model, batch, scale, noise), targets)[0]
    assert loss.requires_grad
    return memory.live / ROWS


@pytest.mark.parametrize("checkpointing", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_activations_are_those_that_a_real_forward_pass_keeps(shape, checkpointing):
    estimator = regressor(SHAPES[shape], device=Device("cpu", gradient_checkpointing=checkpointing))
    told = estimate_memory(estimator, texts(20)).sft.activations_per_row
    assert told == pytest.approx(really_saved(estimator, texts(20)), rel=0.1)


@pytest.mark.parametrize("num_generations", [4, 32])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_activations_of_sampled_numbers_are_bounded_closely(num_generations, checkpointing):
    estimator = regressor(
        SHAPES["llama"], GRPO(num_generations, scale_rewards=False),
        device=Device("cpu", gradient_checkpointing=checkpointing),
    )  # fmt: skip
    told = estimate_memory(estimator, texts(20)).align.activations_per_row
    real = really_saved(estimator, texts(20), "align")
    # Some of the drawn numbers share their first digits.
    assert 0.99 * real <= told <= 1.25 * real


@pytest.mark.parametrize("source", [pytest.param("estimated", marks=pytest.mark.slow), "real"])
def test_grpo_grows_with_prompt_plus_numbers_not_with_their_product(source):
    def bytes_per_row(n_words, num_generations):
        # Draws without a shared digit: as many number tokens as there can be.
        estimator = regressor(
            SHAPES["llama"], GRPO(num_generations, temperature=50.0, scale_rewards=False),
            sft_epochs=0,
        )  # fmt: skip
        if source == "real":
            return really_saved(estimator, texts(n_words), "align")
        return estimate_memory(estimator, texts(n_words)).align.activations_per_row

    short, long = bytes_per_row(30, 4), bytes_per_row(90, 4)
    more, both = bytes_per_row(30, 32), bytes_per_row(90, 32)
    print(f"kept per row, bytes: {short} {long} with G = 4, {more} {both} with G = 32")
    # Were every number's prompt kept, the longer prompt would cost eight times as much with 32.
    assert both - more < 1.3 * (long - short)
    assert both - long < 1.3 * (more - short)
    assert both < 3 * long < 32 / 4 * long


def test_checkpointing_keeps_a_fraction_of_the_activations():
    X = texts(40)
    whole, less = (
        estimate_memory(
            regressor(SHAPES["llama"], device=Device("cpu", gradient_checkpointing=on)), X
        ).sft
        for on in (False, True)
    )
    assert less.activations_per_row < whole.activations_per_row / 5
    assert less.per_step() < whole.per_step()


@pytest.mark.slow
def test_a_deep_model_is_told_from_shallow_ones(monkeypatch):
    from llmreg.memory import virtual_fit

    deep = regressor(LlamaConfig(**SIZES | dict(num_hidden_layers=5)), GRPO(3), sft_epochs=0)
    shortcut = estimate_memory(deep, texts(10))
    monkeypatch.setattr(virtual_fit, "SHALLOW", (5, 6))  # not shallow: the model as it is
    assert estimate_memory(deep, texts(10)) == shortcut


# -- the road is a fit's own -----------------------------------------------------------------------


def mixed(n_rows=120):
    """Numbers, texts, and round targets of which many are 0."""
    size = np.arange(float(n_rows))
    X = pd.DataFrame({"size": size, "words": texts(5, n_rows)["words"]})
    return X, np.maximum(size - 30, 0) * 100


def test_no_regressor_is_fitted(monkeypatch):
    fitted = []
    for kind in (Ridge, RidgeCV, LogisticRegression, BoostedTrees, TunedKernelRidge):
        monkeypatch.setattr(kind, "fit", lambda self, *args, **kwargs: fitted.append(self))
    monkeypatch.setattr(TunedKernelRidge, "fit_held_out", Ridge.fit)
    for estimates in ("auto", "both", "linear", "kernel", "boosted"):
        estimate_memory(regressor(estimates=estimates), *mixed())
    assert fitted == []


def with_real_estimates(monkeypatch, estimator, X, y):
    with monkeypatch.context() as patch:
        patch.setattr(RowEstimates, "extend_unfitted", RowEstimates.fit_extend)
        return estimate_memory(estimator, X, y)


def test_estimates_take_the_bytes_that_real_ones_take(monkeypatch):
    estimator = regressor(method="grpo", estimates="both")
    told = estimate_memory(estimator, *mixed())
    assert told == with_real_estimates(monkeypatch, estimator, *mixed())


@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e5])
def test_estimates_are_written_as_long_as_real_ones(scale, pretrained_folder, monkeypatch):
    estimator = regressor(pretrained_folder, estimates="both")
    X, y = mixed()
    told = estimate_memory(estimator, X, y * scale).prompt_tokens
    real = with_real_estimates(monkeypatch, estimator, X, y * scale).prompt_tokens
    assert told[1] == pytest.approx(real[1], abs=2)  # a token for each of two cells
    assert told[0] == pytest.approx(real[0], abs=4)  # -0.0003456 where 0.3409 stands


def test_solved_rows_stand_in_the_prompts_as_in_those_of_a_fit(pretrained_folder):
    X, y = texts(5), np.linspace(1.0, 2.0, 24)
    estimator = regressor(pretrained_folder, "zero_shot", random_state=0)
    alone = estimate_memory(estimator, X, y)
    estimator.set_params(fit_method=ZeroShot(num_examples=4))
    told = estimate_memory(estimator, X, y)
    model = estimator.fit(X, y)
    real = model.prompts_.encode(model.serializer_.serialize(X)).lengths.max()
    assert told.prompt_tokens[0] == pytest.approx(real, abs=4)  # other rows are drawn
    assert told.prompt_tokens[0] > alone.prompt_tokens[0] + 4 * 20
    assert told.predict > alone.predict


# -- weights -------------------------------------------------------------------------------------


def bytes_of(tensors):
    return sum(t.numel() * t.element_size() for t in tensors)


def moments(kind, parameters):
    """Bytes of an optimiser's state after a step."""
    parameters = [p for p in parameters if p.numel()]
    optimizer = kind(parameters)
    for p in parameters:
        p.grad = torch.zeros_like(p)
    optimizer.step()
    states = (v for state in optimizer.state.values() for k, v in state.items() if k != "step")
    return bytes_of(states)


@pytest.mark.parametrize("optimizer", ["adamw", "adafactor"])
def test_adapters_and_optimizer_are_counted_exactly(optimizer, pretrained_folder):
    estimator = regressor(
        pretrained_folder, adapters=4, number_input="text+value", optimizer=optimizer
    )
    X = pd.DataFrame({"size": np.arange(24.0), "words": texts(5)["words"]})
    told = estimate_memory(estimator, X).sft
    model, _ = real_model(estimator, X)
    trained = list(model.trainable().values())
    added = adapter_weights(model.lm).values()
    everything = [*model.parameters(), *model.buffers()]
    assert told.adapters == bytes_of(added) > 0
    assert sum(told.weights.values()) == bytes_of(everything) - told.adapters
    assert told.gradients == bytes_of(trained) == told.copies
    kind = {"adamw": torch.optim.AdamW, "adafactor": torch.optim.Adafactor}[optimizer]
    assert told.optimizer == moments(kind, trained)


def test_copies_of_the_trained_weights_are_those_that_training_holds():
    def copies(**params):
        estimate = estimate_memory(regressor(sft_epochs=0, **params), texts(5, n_rows=40))
        return estimate.align.copies / estimate.align.gradients

    assert copies(method="grpo") == 1  # the running mean
    assert copies(method="grpo", validation_fraction=0.2) == 2  # and the best epoch's
    assert copies(method=GRPO(beta=0.1)) == 3  # and the reference, and the stage's start


def test_only_configuration_and_tokenizer_are_read(pretrained_folder, tmp_path):
    for file in Path(pretrained_folder).iterdir():
        if file.suffix != ".safetensors":
            (tmp_path / file.name).write_bytes(file.read_bytes())
    with_weights = estimate_memory(regressor(pretrained_folder), texts(5))
    assert estimate_memory(regressor(str(tmp_path)), texts(5)) == with_weights


def test_a_model_in_memory_is_told_from_its_shape(pretrained_folder):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    lm = AutoModelForCausalLM.from_pretrained(pretrained_folder)
    pair = lm, AutoTokenizer.from_pretrained(pretrained_folder)
    before = {name: p.clone() for name, p in lm.named_parameters()}
    told = estimate_memory(regressor(pair), texts(5))
    assert told == estimate_memory(regressor(pretrained_folder), texts(5))
    assert all(torch.equal(p, before[name]) for name, p in lm.named_parameters())


@pytest.mark.parametrize(
    ("quantisation", "kind", "bits"),
    [
        ({"load_in_4bit": True}, "4-bit", 4.5),
        ({"load_in_4bit": True, "bnb_4bit_use_double_quant": True}, "4-bit", 4.127),
        ({"load_in_8bit": True}, "8-bit", 8),
        ({"quant_method": "gptq", "bits": 4, "group_size": 20}, "4-bit", 5),
    ],
)
def test_quantised_weights_are_as_large_as_their_configuration_says(quantisation, kind, bits):
    lm = LlamaForCausalLM(LlamaConfig(vocab_size=50, **SIZES))
    told = quantised_bytes(lm, quantisation)
    n_linear = 2 * (2 * 64 * 64 + 2 * 64 * 32 + 3 * 64 * 128)  # all but the output layer
    assert {k for k, _ in told.values()} == {kind}
    assert sum(size for _, size in told.values()) == pytest.approx(n_linear * bits / 8, rel=1e-3)


def test_layers_that_stay_unquantised_are_left_out():
    lm = LlamaForCausalLM(LlamaConfig(vocab_size=50, **SIZES))
    config = BitsAndBytesConfig(load_in_4bit=True, llm_int8_skip_modules=["mlp"])
    told = quantised_bytes(lm, config)
    named = {name for name, p in lm.named_parameters() if id(p) in told}
    assert {name.split(".")[-2] for name in named} == {"q_proj", "k_proj", "v_proj", "o_proj"}


def test_quantised_weights_take_the_place_of_whole_ones(pretrained_folder):
    quantised = {"quantization_config": {"load_in_4bit": True}}
    told = estimate_memory(
        regressor(PretrainedModel(pretrained_folder, model_kwargs=quantised)), texts(5)
    ).sft
    plain = estimate_memory(regressor(pretrained_folder), texts(5)).sft
    freed = plain.weights["float32"] - told.weights["float32"]
    assert told.weights["4-bit"] == freed / 32 * 4.5
    assert told.adapters == plain.adapters


def test_a_quantisation_that_does_not_tell_its_size_is_warned_about(pretrained_folder):
    unknown = {"quantization_config": {"quant_method": "novel"}}
    with pytest.warns(UserWarning, match="'novel' does not say"):
        told = estimate_memory(
            regressor(PretrainedModel(pretrained_folder, model_kwargs=unknown)), texts(5)
        )
    assert not any("bit" in kind for kind in told.sft.weights)


# -- what is made of it --------------------------------------------------------------------------


STAGE = StageMemory(
    method="CE", rows=8, weights={"float32": 1000}, adapters=100, gradients=100, optimizer=200,
    copies=100, activations_per_row=50, working_per_row=10, working=40, update=0, validation=0,
)  # fmt: skip


def test_the_largest_micro_batch_just_fits():
    estimate = MemoryEstimate("cpu", (10, 8.0), STAGE, replace(STAGE, working_per_row=50), 0, 0)
    size = estimate.largest_micro_batch(2400)
    assert size == 8 == (2400 - 1500 - 40) // 100
    assert all(stage.per_step(size) <= 2400 for stage in estimate.stages)
    assert estimate.align.per_step(size + 1) > 2400
    assert estimate.largest_micro_batch(1500) == 0  # the weights alone


def test_the_parts_add_up_to_the_fit():
    stage = replace(STAGE, validation=5000)
    estimate = MemoryEstimate("cpu", (10, 8.0), STAGE, stage, 1000, 600)
    assert STAGE.resident == 1500
    assert STAGE.per_step() == STAGE.total == 1500 + 40 + 8 * 60
    assert replace(STAGE, update=900).per_step() == 2400  # after the activations are gone
    assert (estimate.fit, estimate.predict) == (5000, 1600)


def test_the_printed_table_names_both_stages_and_readable_sizes():
    text = repr(estimate_memory(regressor("tiny", "grpo"), texts(5)))
    for part in ("CE (sft)", "GRPO (align)", "activations per row", "KiB", "predict"):
        assert part in text


def test_a_stage_of_no_epochs_is_left_out():
    estimate = estimate_memory(regressor("tiny", "grpo", sft_epochs=0, align_epochs=0), texts(5))
    assert estimate.sft is None and estimate.align is None
    assert estimate.fit > 0
    assert "predict" in repr(estimate)
    with pytest.raises(ValueError, match="sft_epochs and align_epochs are 0"):
        estimate.largest_micro_batch(10**9)


def test_the_longest_row_is_sample_enough(pretrained_folder):
    # Which rows there are makes a difference to the range that an instruction names.
    estimator = regressor(PretrainedModel(pretrained_folder, instruction=""))
    X = pd.DataFrame({"words": ["red", "red old house", "red"]})
    all_rows, longest = estimate_memory(estimator, X), estimate_memory(estimator, X[1:2])
    assert replace(all_rows, prompt_tokens=longest.prompt_tokens) == longest


def test_the_estimator_and_the_random_state_stay_as_they_were():
    estimator = regressor()
    before, state = dict(vars(estimator)), torch.get_rng_state()
    estimate_memory(estimator, texts(5))
    assert vars(estimator) == before
    assert torch.equal(torch.get_rng_state(), state)


def test_a_pipelines_last_step_is_told_of_what_it_gets():
    X = pd.DataFrame({"size": np.arange(24.0), "gone": 1.0})
    told = estimate_memory(regressor(), X[["size"]])
    chosen = make_column_transformer(("passthrough", ["size"]))
    pipeline = make_pipeline(chosen, make_pipeline(regressor()))
    assert estimate_memory(pipeline, X) == told != estimate_memory(regressor(), X)
    assert not hasattr(chosen, "transformers_")


@pytest.mark.parametrize(
    "other", [Ridge(), LLMRegressor, "tiny", None, GridSearchCV(LLMRegressor(), {}),
              make_pipeline(Ridge()), FrozenEstimator(LLMRegressor())],
)  # fmt: skip
def test_what_is_no_regressor_of_this_library_is_refused(other):
    with pytest.raises(TypeError, match="of an LLMRegressor, alone or last in a Pipeline"):
        estimate_memory(other, texts(5))


class LooksAtItsNumbers(Method):
    stage = "sft"

    def loss(self, policy, targets, statistics=None):
        log_probs = policy.leaf_log_probs()
        return log_probs.sum(1) * float(log_probs.detach().max()), {}


def test_an_objective_that_needs_numbers_is_counted_by_the_whole_tree():
    with pytest.warns(UserWarning, match="LooksAtItsNumbers cannot be followed without data"):
        told = estimate_memory(regressor(method=LooksAtItsNumbers()), texts(5))
    assert (
        told.sft.activations_per_row
        > estimate_memory(regressor(), texts(5)).sft.activations_per_row
    )


def test_a_model_without_the_packed_road_is_refused():
    config = MambaConfig(hidden_size=32, state_size=4, num_hidden_layers=2)
    with pytest.raises(ValueError, match="model_type='mamba' cannot be told beforehand"):
        estimate_memory(regressor(config), texts(5))


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is such a device")
def test_a_device_that_is_not_there_is_refused():
    with pytest.raises(ValueError, match="no CUDA"):
        estimate_memory(regressor().set_params(device="cuda"), texts(5))


# -- beside a real process -----------------------------------------------------------------------

SCRIPT = """
import resource, sys, warnings
import numpy as np, pandas as pd
from transformers import LlamaConfig
from llmreg import LLMRegressor
from llmreg.memory.needs import estimate_memory

def peak():
    scale = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * scale

def regressor(hidden_size, n_layers):
    config = LlamaConfig(hidden_size=hidden_size, intermediate_size=4 * hidden_size,
                         num_hidden_layers=n_layers, num_attention_heads=8)
    return LLMRegressor(config, "ce", sft_epochs=1, batch_size=16, text_features=False,
                        validation_fraction=None, device="cpu", random_state=0)

words = np.random.RandomState(0).choice(["red", "blue", "old"], (16, 120))
X = pd.DataFrame({"words": [" ".join(row) for row in words]})
y = np.arange(16.0)
regressor(64, 1).fit(X, y)  # libraries and their buffers
estimate = estimate_memory(regressor(640, 8), X, y)
before = peak()
model = regressor(640, 8).fit(X, y)
print(sum(p.numel() for p in model.model_.parameters()), estimate.fit, peak() - before)
"""


@pytest.mark.slow
def test_a_real_training_step_takes_what_was_told():
    pytest.importorskip("resource")
    out = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)
    n_parameters, told, real = map(int, out.stdout.split())
    print(f"{n_parameters / 1e6:.0f} M parameters: {told / 2**20:.0f} MiB told, "
          f"{real / 2**20:.0f} MiB measured")  # fmt: skip
    assert n_parameters > 50e6
    assert real / 1.5 < told < 1.5 * real


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_fit_on_a_gpu_takes_what_was_told(dtype):
    config = LlamaConfig(**SIZES | dict(hidden_size=512, intermediate_size=2048))
    X = texts(200)
    estimator = regressor(
        config, "grpo", device=Device("cuda", dtype=dtype), sft_epochs=1, align_epochs=1
    )
    estimator.set_params(random_state=0)
    told = estimate_memory(estimator, X).fit
    before = torch.cuda.memory_allocated()
    torch.cuda.reset_peak_memory_stats()
    estimator.fit(X, np.arange(len(X)))
    real = torch.cuda.max_memory_allocated() - before
    assert real / 1.5 < told < 1.5 * real

#!/usr/bin/env python3
"""Records what transformers computes for a tiny model of each family and rotary scaling.

Weights follow from a formula of their names and places, which the tests compute again, so that only
configurations and logits are stored: Tests/RuntimeTests/Fixtures/families/CASE.json. The script
asserts what makes the cases hard: attention is peaked (mean entropy below half of uniform), windows
and soft-caps matter, and sequences are longer than two windows, or than the original context.
Everything in fp32 with eager attention. Versions: see requirements.txt beside this file.

usage: record_families.py [--output DIR] [--case NAME]
"""

import argparse
import json
import math
import pathlib

import numpy
import torch
import transformers
from transformers import (
    Gemma2Config, Gemma2ForCausalLM, Gemma3ForCausalLM, Gemma3TextConfig, LlamaConfig, LlamaForCausalLM,
    MistralConfig, MistralForCausalLM, Phi3Config, Phi3ForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config,
    Qwen3ForCausalLM)

VOCABULARY = 64
TOKENS = 80
WINDOW = 16
POSITIONS = 6  # the last ones are recorded, and one in the middle

COMMON = dict(
    vocab_size=VOCABULARY, hidden_size=64, intermediate_size=96, num_hidden_layers=3, num_attention_heads=4,
    num_key_value_heads=2, max_position_embeddings=256, attn_implementation="eager", bos_token_id=1,
    eos_token_id=2, pad_token_id=0)


def rope(kind="default", base=10_000.0, **more):
    return {"rope_type": kind, "rope_theta": base, **more}


LONGROPE = rope(
    "longrope", long_factor=[1.0 + 0.4 * i for i in range(6)], short_factor=[1.0 + 0.02 * i for i in range(6)])

# Each: model class, configuration class, its fields, tokens.
CASES = {
    "llama": (LlamaForCausalLM, LlamaConfig, dict(head_dim=32, rope_parameters=rope())),
    "llama-tied-biases": (LlamaForCausalLM, LlamaConfig, dict(
        attention_bias=True, mlp_bias=True, tie_word_embeddings=True, rope_parameters=rope(base=500_000.0))),
    "llama-linear": (LlamaForCausalLM, LlamaConfig, dict(rope_parameters=rope("linear", factor=4.0))),
    "llama-llama3": (LlamaForCausalLM, LlamaConfig, dict(head_dim=32, rope_parameters=rope(
        "llama3", base=500.0, factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0,
        original_max_position_embeddings=32))),
    "llama-yarn": (LlamaForCausalLM, LlamaConfig, dict(head_dim=32, rope_parameters=rope(
        "yarn", factor=4.0, original_max_position_embeddings=32))),
    "mistral-window": (MistralForCausalLM, MistralConfig, dict(sliding_window=WINDOW, rope_parameters=rope())),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config, dict(rope_parameters=rope(base=1_000_000.0))),
    "qwen2-yarn": (Qwen2ForCausalLM, Qwen2Config, dict(tie_word_embeddings=True, rope_parameters=rope(
        "yarn", base=1_000_000.0, factor=4.0, original_max_position_embeddings=32, beta_fast=16.0,
        beta_slow=2.0))),
    "qwen3": (Qwen3ForCausalLM, Qwen3Config, dict(head_dim=32, rope_parameters=rope(base=1_000_000.0))),
    "gemma2": (Gemma2ForCausalLM, Gemma2Config, dict(
        num_hidden_layers=4, head_dim=32, query_pre_attn_scalar=32, sliding_window=WINDOW,
        attn_logit_softcapping=16.0, final_logit_softcapping=5.0, rope_parameters=rope())),
    "gemma2-scaled": (Gemma2ForCausalLM, Gemma2Config, dict(
        num_hidden_layers=2, head_dim=32, query_pre_attn_scalar=24, sliding_window=WINDOW,
        attn_logit_softcapping=16.0, final_logit_softcapping=5.0, rope_parameters=rope(base=20_000.0))),
    "gemma3": (Gemma3ForCausalLM, Gemma3TextConfig, dict(
        num_hidden_layers=7, head_dim=32, query_pre_attn_scalar=32, sliding_window=WINDOW,
        rope_parameters={
            "sliding_attention": rope(), "full_attention": rope("linear", base=1_000_000.0, factor=8.0)})),
    "phi3-window": (Phi3ForCausalLM, Phi3Config, dict(sliding_window=WINDOW, rope_parameters=rope())),
    "phi3-longrope": (Phi3ForCausalLM, Phi3Config, dict(
        original_max_position_embeddings=32, rope_parameters={
            **LONGROPE, "partial_rotary_factor": 0.75, "original_max_position_embeddings": 32})),
    "phi3-longrope-short": (Phi3ForCausalLM, Phi3Config, dict(
        original_max_position_embeddings=128, rope_parameters={
            **LONGROPE, "partial_rotary_factor": 0.75, "original_max_position_embeddings": 128})),
}


def uniform(name, count):
    """Numbers from -1 to 1 that follow from the name: FNV-1a for the seed, SplitMix64 from there."""
    seed = 0xCBF29CE484222325
    for byte in name.encode():
        seed = (seed ^ byte) * 0x100000001B3 % 2**64
    with numpy.errstate(over="ignore"):
        z = numpy.uint64(seed) + numpy.arange(1, count + 1, dtype=numpy.uint64) * numpy.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> numpy.uint64(30))) * numpy.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> numpy.uint64(27))) * numpy.uint64(0x94D049BB133111EB)
        z = z ^ (z >> numpy.uint64(31))
    return (z >> numpy.uint64(40)).astype(numpy.float64) / 2**23 - 1


def spread(name, case):
    """Half the width of a weight's values, and their middle."""
    gemma = case.startswith("gemma")
    if name.endswith(("q_norm.weight", "k_norm.weight")):
        return 0.5, 0.8 if gemma else 1.8
    if name.endswith("norm.weight"):
        if gemma and ("post_attention" in name or "post_feedforward" in name):
            return 0.3, -0.4
        return 0.3, 0.0 if gemma else 1.0
    if "embed_tokens" in name:
        return 1.0 if not gemma else 0.4, 0.0
    if "q_proj" in name or "k_proj" in name or "qkv_proj" in name:
        return 0.45, 0.0
    if "lm_head" in name:
        return 0.3, 0.0
    return 0.2, 0.0


def tokens_of(case):
    values = (uniform(case + ".tokens", TOKENS) + 1) / 2 * (VOCABULARY - 3)
    return [3 + int(value) for value in values]


def make(case):
    """The model and how its weights are made: name, shape, spread, middle."""
    model_class, config_class, fields = CASES[case]
    model = model_class(config_class(**{**COMMON, **fields})).eval().float()
    recipe = []
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            width, middle = spread(name, case)
            values = middle + width * uniform(name, parameter.numel())
            parameter.copy_(torch.from_numpy(values.astype(numpy.float32)).reshape(parameter.shape))
            recipe.append([name, list(parameter.shape), width, middle])
    return model, recipe


def logits_of(model, tokens):
    with torch.no_grad():
        return model(torch.tensor([tokens]), use_cache=False).logits[0].double().numpy()


def entropy_share(model, tokens):
    """The entropy of attention as a share of what uniform attention has, over layers, heads and tokens."""
    with torch.no_grad():
        attentions = model(torch.tensor([tokens]), output_attentions=True, use_cache=False).attentions
    shares = []
    for layer in attentions:
        weights = layer[0].double()
        for position in range(8, len(tokens)):
            row = weights[:, position, :position + 1]
            allowed = (row > 0).sum(-1).double()
            entropy = -(row * torch.log(row.clamp_min(1e-300))).sum(-1)
            shares += (entropy / torch.log(allowed.clamp_min(2))).tolist()
    return sum(shares) / len(shares)


def distance(a, b):
    return numpy.abs(a - b).max() / math.sqrt((b * b).mean())


def without(case, **changes):
    """The logits of the same weights with some fields changed."""
    model_class, config_class, fields = CASES[case]
    model = model_class(config_class(**{**COMMON, **fields, **changes})).eval().float()
    model.load_state_dict(make(case)[0].state_dict())
    return logits_of(model, tokens_of(case))


def check(case, model, tokens, logits):
    fields = CASES[case][2]
    share = entropy_share(model, tokens)
    report = [f"entropy {share:.2f} of uniform"]
    assert share < 0.5, f"{case}: attention is not peaked: {share}"
    if "sliding_window" in fields:
        assert len(tokens) >= 2 * WINDOW
        effect = distance(without(case, sliding_window=4096), logits)
        assert effect > 0.05, f"{case}: the window does not matter: {effect}"
        report.append(f"window matters by {effect:.2f}")
    for cap in ("attn_logit_softcapping", "final_logit_softcapping"):
        if cap in fields:
            effect = distance(without(case, **{cap: None}), logits)
            assert effect > 0.05, f"{case}: {cap} does not matter: {effect}"
            report.append(f"{cap} matters by {effect:.2f}")
    original = fields.get("rope_parameters", {}).get("original_max_position_embeddings")
    if original and not case.endswith("-short"):
        assert len(tokens) > 2 * original
    double = logits_of(model.double(), tokens)
    model.float()
    report.append(f"fp32 differs from fp64 by {distance(logits, double):.1e}")
    print(f"{case}: {', '.join(report)}")


def record(case, output):
    model, recipe = make(case)
    tokens = tokens_of(case)
    logits = logits_of(model, tokens)
    check(case, model, tokens, logits)
    positions = [len(tokens) // 2] + list(range(len(tokens) - POSITIONS + 1, len(tokens)))
    config = json.loads(model.config.to_json_string(use_diff=False))
    config["architectures"] = [type(model).__name__]
    record = {
        "transformers": transformers.__version__, "torch": torch.__version__, "config": config, "tensors": recipe,
        "tied": bool(model.config.tie_word_embeddings), "tokens": tokens, "positions": positions,
        "logits": [[float(f"{value:.8g}") for value in logits[position]] for position in positions]}
    (output / f"{case}.json").write_text(json.dumps(record, separators=(",", ":")) + "\n")


def main():
    root = pathlib.Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=pathlib.Path, default=root / "Tests/RuntimeTests/Fixtures/families")
    parser.add_argument("--case", choices=CASES)
    arguments = parser.parse_args()
    arguments.output.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for case in [arguments.case] if arguments.case else CASES:
        record(case, arguments.output)


if __name__ == "__main__":
    main()

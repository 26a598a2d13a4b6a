#!/usr/bin/env python3
"""Records how PyTorch trains a tiny model of each family, for the tests of the trainer.

Writes Tests/TrainerTests/Fixtures/tiny/FAMILY.gguf (weights in F32), FAMILY.lora.gguf (an adapter to
start from; both its factors are random, so that both have gradients) and FAMILY.json: rows with loss
weights, and for full training and for LoRA the gradients of the first step, before clipping, and
the loss of each of ten steps. A gradient is recorded as its norm and some of its entries, at
[index, value] in the order of the file. All rows are one step, packed two by two, everything in
fp32 with eager attention. Versions: see requirements.txt beside this file.

usage: record_tiny_training.py [--output DIR]
"""

import argparse
import json
import math
import sys
from importlib.metadata import version
from pathlib import Path

import numpy
import torch
from gguf import GGUFWriter
from peft import LoraConfig, get_peft_model
from transformers import (
    Gemma2Config, Gemma2ForCausalLM, Gemma3ForCausalLM, Gemma3TextConfig, LlamaConfig, LlamaForCausalLM, Phi3Config,
    Phi3ForCausalLM, Qwen2Config, Qwen2ForCausalLM, Qwen3Config, Qwen3ForCausalLM)

import lora_gguf

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools/train"))

import batches  # noqa: E402
import masks  # noqa: E402
import model as training  # noqa: E402
import schedule  # noqa: E402

WINDOW = 6
STEPS = 10
SETTINGS = {
    "full": dict(lr=1e-3, warmup=3, steps=STEPS, weight_decay=0.1, clip=1.0),
    "lora": dict(lr=5e-3, warmup=3, steps=STEPS, weight_decay=0.01, clip=1.0, rank=4, alpha=8),
}
COMMON = dict(
    vocab_size=48, hidden_size=32, intermediate_size=32, num_hidden_layers=2, num_attention_heads=2,
    num_key_value_heads=1, head_dim=16, max_position_embeddings=64, attn_implementation="eager", bos_token_id=1,
    eos_token_id=2, pad_token_id=0)


def rope(base=10_000.0):
    return {"rope_type": "default", "rope_theta": base}


GEMMA = dict(query_pre_attn_scalar=16, sliding_window=WINDOW, tie_word_embeddings=True)
FAMILIES = {
    "llama": (LlamaForCausalLM, LlamaConfig, dict(rope_parameters=rope())),
    "gemma3": (Gemma3ForCausalLM, Gemma3TextConfig, dict(
        **GEMMA, num_hidden_layers=6, sliding_window_pattern=6,
        rope_parameters={"sliding_attention": rope(), "full_attention": rope(1_000_000.0)})),
    "qwen2": (Qwen2ForCausalLM, Qwen2Config, dict(rope_parameters=rope(1_000_000.0), tie_word_embeddings=True)),
    "qwen3": (Qwen3ForCausalLM, Qwen3Config, dict(rope_parameters=rope(1_000_000.0), tie_word_embeddings=True)),
    "gemma2": (Gemma2ForCausalLM, Gemma2Config, dict(
        **GEMMA, attn_logit_softcapping=8.0, final_logit_softcapping=5.0, rope_parameters=rope())),
    "phi3": (Phi3ForCausalLM, Phi3Config, dict(rope_parameters=rope())),
}


def spread(name, gemma):
    """Half the width of a weight's values, and their middle: attention is peaked, no norm is 1."""
    if name.endswith("norm.weight"):
        return 0.3, 0.0 if gemma else 1.0
    if "embed_tokens" in name:
        return 0.5, 0.0
    if any(part in name for part in ("q_proj", "k_proj", "qkv_proj")):
        return 0.5, 0.0
    return 0.25, 0.0


def make(family):
    model_class, config_class, fields = FAMILIES[family]
    torch.manual_seed(11)
    model = model_class(config_class(**{**COMMON, **fields})).float().train()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            width, middle = spread(name, family.startswith("gemma"))
            parameter.copy_(middle + width * (2 * torch.rand(parameter.shape) - 1))
    return model


def add_metadata(writer, config, family):
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(config.num_attention_heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(config.head_dim)
    writer.add_value_length(config.head_dim)
    writer.add_rope_dimension_count(config.head_dim)
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    theta = config.rope_parameters.get("full_attention", config.rope_parameters)["rope_theta"]
    writer.add_rope_freq_base(theta)
    if family.startswith("gemma"):
        writer.add_sliding_window(config.sliding_window)
    if family == "gemma2":
        writer.add_attn_logit_softcapping(config.attn_logit_softcapping)
        writer.add_final_logit_softcapping(config.final_logit_softcapping)
    add_vocabulary(writer, config.vocab_size)


def add_vocabulary(writer, size):
    """Single characters, so that programs find a tokenizer."""
    pieces = ["<pad>", "<bos>", "<eos>", *(chr(ord("!") + index) for index in range(size - 3))]
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(pieces)
    writer.add_token_types([3] * 3 + [1] * (size - 3))
    writer.add_token_merges([f"{pieces[3]} {pieces[4]}"])  # an empty list would be left out
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)
    writer.add_add_bos_token(False)


def as_stored(name, tensor, config, shifts_norms):
    """(GGUF name, array) of a weight, or of its gradient, to which nothing is added"""
    ours = lora_gguf.gguf_name(name, config.model_type.removesuffix("_text"))
    array = lora_gguf.reordered(ours, tensor.detach().numpy(), config, lora_gguf.pairs)
    if shifts_norms and name.endswith("norm.weight"):
        array = array + numpy.float32(1)
    return ours, numpy.ascontiguousarray(array)


def write_model(path, model, family):
    writer = GGUFWriter(path, family)
    add_metadata(writer, model.config, family)
    for name, parameter in model.named_parameters():
        writer.add_tensor(*as_stored(name, parameter, model.config, family.startswith("gemma")))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def rows():
    """Rows of different lengths; some tokens in the middle of a row do not count either."""
    generator = torch.Generator().manual_seed(5)
    examples = []
    for index, (length, prompt) in enumerate([(9, 4), (17, 11), (5, 1), (14, 6)]):
        ids = torch.randint(3, 48, (length,), generator=generator).tolist()
        weights = [0] * prompt + [1] * (length - prompt)
        if index == 1:
            weights[13] = 0
        examples.append(masks.Example(str(index), ids, weights))
    return examples


def recorded(name, gradient):
    flat = gradient.reshape(-1)
    indices = [int(index) for index in numpy.linspace(0, len(flat) - 1, 6)]
    return {"name": name, "norm": float(numpy.linalg.norm(flat.astype(numpy.float64))),
            "entries": [[index, float(flat[index])] for index in indices]}


def run(loss_model, batches_, settings, record_gradients):
    optimiser = schedule.optimiser(loss_model, settings["lr"], settings["weight_decay"])
    weight = sum(batch.weight for batch in batches_)
    losses, gradients = [], None
    for step in range(settings["steps"]):
        schedule.set_rate(optimiser, schedule.rate(step, settings["lr"], settings["warmup"], settings["steps"]))
        loss = sum(loss_model(batch) for batch in batches_) / weight
        loss.backward()
        gradients = gradients or record_gradients()
        torch.nn.utils.clip_grad_norm_(schedule.trained(loss_model), settings["clip"])
        optimiser.step()
        optimiser.zero_grad()
        losses.append(loss.item())
    return {**settings, "losses": losses, "gradients": gradients}


def full(family, batches_):
    model = make(family)

    def gradients():
        return [recorded(*as_stored(name, parameter.grad, model.config, False))
                for name, parameter in model.named_parameters()]

    return run(training.SummedLoss(model), batches_, SETTINGS["full"], gradients)


def lora(family, batches_, path):
    settings = SETTINGS["lora"]
    base = make(family)
    names = training.targets(base, training.PROJECTIONS)
    model = get_peft_model(base, LoraConfig(r=settings["rank"], lora_alpha=settings["alpha"], target_modules=names,
                                            task_type="CAUSAL_LM"))
    torch.manual_seed(13)
    trained = {name: value for name, value in model.named_parameters() if value.requires_grad}
    with torch.no_grad():
        for value in trained.values():
            value.copy_(0.3 * (2 * torch.rand(value.shape) - 1))
    lora_gguf.write(path, family, settings["alpha"], lora_gguf.tensors(trained, base.config, family))

    def gradients():
        state = {name: value.grad for name, value in trained.items()}
        return [recorded(name, array) for name, array in lora_gguf.tensors(state, base.config, family)]

    return run(training.SummedLoss(model), batches_, settings, gradients)


def record(family, output):
    write_model(output / f"{family}.gguf", make(family), family)
    examples = rows()
    packed = [batches.collate(examples[at:at + 2], packed=True) for at in (0, 2)]
    result = {
        "recorded_with": {name: version(name) for name in ("torch", "transformers", "peft")},
        "rows": [{"ids": example.ids, "weights": example.weights} for example in examples],
        "full": full(family, packed), "lora": lora(family, packed, output / f"{family}.lora.gguf"),
    }
    check(family, result, examples)
    (output / f"{family}.json").write_text(json.dumps(result, separators=(",", ":")) + "\n")


def check(family, result, examples):
    """Packing must not change the loss, and training must lower it."""
    model = training.SummedLoss(make(family))
    alone = [model(batches.collate([example], packed=False)) for example in examples]
    mean = sum(alone).item() / sum(sum(example.weights) for example in examples)
    assert math.isclose(mean, result["full"]["losses"][0], rel_tol=1e-6), f"{family}: {mean}"
    for method in ("full", "lora"):
        losses = result[method]["losses"]
        assert losses[-1] < 0.9 * losses[0], f"{family}: {losses}"
        print(f"{family} {method}: loss {losses[0]:.4f} to {losses[-1]:.4f}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=ROOT / "Tests/TrainerTests/Fixtures/tiny")
    output = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for family in FAMILIES:
        record(family, output)


if __name__ == "__main__":
    main()

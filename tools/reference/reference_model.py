#!/usr/bin/env python3
"""A GGUF file's weights, dequantised to float32, inside of the transformers implementation.

The independent oracle for the decoder: `gguf` dequantises, `transformers` computes, all in fp32.
Families: llama, gemma3 (text only). Versions: see requirements.txt beside this file.

usage: reference_model.py MODEL.gguf [--ids "1 2 3"] [--tokens 24]
    continues the token ids greedily and prints the ids, as a first check of a file
"""

import argparse

import numpy
import torch
from gguf import GGUFReader, dequantize
from transformers import Gemma3ForCausalLM, Gemma3TextConfig, LlamaConfig, LlamaForCausalLM

# What gemma3 files leave out (transformers, Gemma3TextConfig): every sixth layer attends to
# everything, and the others rotate with this base.
GEMMA3_PATTERN = 6
GEMMA3_LOCAL_BASE = 10_000.0

BLOCK_NAMES = {
    "attn_q.weight": "self_attn.q_proj.weight",
    "attn_k.weight": "self_attn.k_proj.weight",
    "attn_v.weight": "self_attn.v_proj.weight",
    "attn_output.weight": "self_attn.o_proj.weight",
    "attn_q_norm.weight": "self_attn.q_norm.weight",
    "attn_k_norm.weight": "self_attn.k_norm.weight",
    "ffn_gate.weight": "mlp.gate_proj.weight",
    "ffn_up.weight": "mlp.up_proj.weight",
    "ffn_down.weight": "mlp.down_proj.weight",
    "attn_norm.weight": "input_layernorm.weight",
}
PRE_NORM_NAMES = {"ffn_norm.weight": "post_attention_layernorm.weight"}
GEMMA_NAMES = {
    "post_attention_norm.weight": "post_attention_layernorm.weight",
    "ffn_norm.weight": "pre_feedforward_layernorm.weight",
    "post_ffw_norm.weight": "post_feedforward_layernorm.weight",
}
FAMILY_NAMES = {
    "llama": PRE_NORM_NAMES,
    "qwen2": PRE_NORM_NAMES,
    "qwen3": PRE_NORM_NAMES,
    "phi3": PRE_NORM_NAMES,
    "gemma2": GEMMA_NAMES,
    "gemma3": GEMMA_NAMES,
}
OUTER_NAMES = {
    "token_embd.weight": "model.embed_tokens.weight",
    "output_norm.weight": "model.norm.weight",
    "output.weight": "lm_head.weight",
}


class Metadata:
    """The key-value pairs of a GGUF file, with those of its architecture by short name."""

    def __init__(self, reader):
        self.fields = reader.fields
        self.architecture = self["general.architecture"]

    def __getitem__(self, key):
        return self.fields[key].contents()

    def own(self, key, default=None):
        field = self.fields.get(f"{self.architecture}.{key}")
        return default if field is None else field.contents()

    @property
    def start(self):
        """The ids that every text starts with: the BOS token if the file asks for it."""
        flag = self.fields.get("tokenizer.ggml.add_bos_token")
        asked = self["tokenizer.ggml.model"] == "llama" if flag is None else flag.contents()
        return [self["tokenizer.ggml.bos_token_id"]] if asked else []


def common_config(metadata, vocabulary, tied):
    heads = metadata.own("attention.head_count")
    width = metadata.own("embedding_length")
    return dict(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=metadata.own("feed_forward_length"),
        num_hidden_layers=metadata.own("block_count"),
        num_attention_heads=heads,
        num_key_value_heads=metadata.own("attention.head_count_kv", heads),
        head_dim=metadata.own("attention.key_length", width // heads),
        rms_norm_eps=metadata.own("attention.layer_norm_rms_epsilon"),
        max_position_embeddings=metadata.own("context_length"),
        tie_word_embeddings=tied,
        attn_implementation="eager",
    )


def rope(base):
    return {"rope_type": "default", "rope_theta": float(base)}


def empty_model(metadata, vocabulary, tied):
    """The family's model with its configuration taken from the file's metadata."""
    common = common_config(metadata, vocabulary, tied)
    base = metadata.own("rope.freq_base", 10_000.0)
    if any("rope.scaling" in key for key in metadata.fields):
        raise SystemExit("reference_model.py: rotary scaling is not supported")
    if metadata.architecture == "llama":
        return LlamaForCausalLM(LlamaConfig(**common, rope_parameters=rope(base)))
    if metadata.architecture == "gemma3":
        return Gemma3ForCausalLM(Gemma3TextConfig(
            **common,
            query_pre_attn_scalar=common["head_dim"],  # true of all sizes but 27B
            sliding_window=metadata.own("attention.sliding_window"),
            sliding_window_pattern=GEMMA3_PATTERN,
            rope_parameters={"sliding_attention": rope(GEMMA3_LOCAL_BASE), "full_attention": rope(base)},
        ))
    raise SystemExit(f"reference_model.py: the family {metadata.architecture} is not supported")


def full_name(name, architecture):
    """The transformers name of a GGUF tensor."""
    if name in OUTER_NAMES:
        return OUTER_NAMES[name]
    _, layer, rest = name.split(".", 2)
    return f"model.layers.{layer}.{({**BLOCK_NAMES, **FAMILY_NAMES[architecture]})[rest]}"


def halves(weight, heads):
    """Rows of Q or K with each head's rotary pairs side by side -> first halves, then second halves."""
    rows, columns = weight.shape
    pairs = weight.reshape(heads, rows // heads // 2, 2, columns)
    return numpy.ascontiguousarray(pairs.swapaxes(1, 2)).reshape(rows, columns)


def converted(name, weight, metadata):
    """`weight` as transformers keeps it: undoes what conversion to GGUF did."""
    if metadata.architecture == "llama" and name.endswith("attn_q.weight"):
        return halves(weight, metadata.own("attention.head_count"))
    if metadata.architecture == "llama" and name.endswith("attn_k.weight"):
        return halves(weight, metadata.own("attention.head_count_kv"))
    if metadata.architecture == "gemma3" and name.endswith("norm.weight"):
        return weight - numpy.float32(1)  # GGUF has the 1 of (1 + w) added in
    return weight


def changes(path):
    """By tensor name, what a LoRA adapter in GGUF adds to a weight: alpha / rank * B A."""
    reader = GGUFReader(path)
    alpha = float(reader.fields["adapter.lora.alpha"].contents())
    factors = {t.name: dequantize(t.data, t.tensor_type).astype(numpy.float64) for t in reader.tensors}
    result = {}
    for name in factors:
        if name.endswith(".lora_a"):
            a, b = factors[name], factors[name[:-1] + "b"]
            result[name[:-len(".lora_a")]] = alpha / a.shape[0] * (b @ a)
    return result


def load(path, adapter=None):
    """(model in fp32 and evaluation mode, its metadata); `adapter` is worked into the weights"""
    reader = GGUFReader(path)
    added = changes(adapter) if adapter else {}
    metadata = Metadata(reader)
    state, vocabulary = {}, 0
    for tensor in reader.tensors:
        weight = dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32)
        if tensor.name in added:
            weight = (weight + added[tensor.name]).astype(numpy.float32)
        if tensor.name == "token_embd.weight":
            vocabulary = weight.shape[0]
        weight = converted(tensor.name, weight, metadata)
        state[full_name(tensor.name, metadata.architecture)] = torch.from_numpy(numpy.array(weight))
    tied = "lm_head.weight" not in state
    model = empty_model(metadata, vocabulary, tied).float()
    missing, unexpected = model.load_state_dict(state, strict=False)
    if unexpected or set(missing) - ({"lm_head.weight"} if tied else set()):
        raise SystemExit(f"reference_model.py: tensors missing {missing}, unknown {unexpected}")
    model.tie_weights()
    return model.eval(), metadata


@torch.inference_mode()
def logits(model, ids):
    """float32 [positions, vocabulary]"""
    return model(input_ids=torch.tensor([ids]), use_cache=False).logits[0].float()


@torch.inference_mode()
def greedy(model, ids, count):
    """`count` greedy ids after `ids`, and how far each one's log-probability is above the runner-up's."""
    new, past, continued, margins = ids, None, [], []
    for _ in range(count):
        output = model(input_ids=torch.tensor([new]), past_key_values=past, use_cache=True)
        past = output.past_key_values
        best = torch.log_softmax(output.logits[0, -1].double(), dim=0).topk(2)
        new = [int(best.indices[0])]
        continued += new
        margins.append(float(best.values[0] - best.values[1]))
    return continued, margins


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--ids", default="", help="token ids to continue (default: the start token)")
    parser.add_argument("--tokens", type=int, default=24)
    arguments = parser.parse_args()
    model, metadata = load(arguments.model)
    ids = [int(word) for word in arguments.ids.split()] or metadata.start
    continued, margins = greedy(model, ids, arguments.tokens)
    pieces = metadata["tokenizer.ggml.tokens"]
    print("ids:", *continued)
    print("pieces:", "".join(pieces[token] for token in continued))
    print(f"smallest margin: {min(margins):.4f}")


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""How far Duet, llama.cpp and an fp32 reference are from each other with a LoRA adapter.

Mean KL divergences of next-token distributions over windows of a text, of the base as it is and with the
adapter, which is a GGUF file; the reference is transformers in fp32 with the dequantised base
(compare_kl.py does the like for bases). Versions: see requirements.txt beside this file.

usage: compare_adapter.py MODEL.gguf ADAPTER.gguf TEXT.jsonl --duet BINARY [--tokens 1000] [--window 250]
"""

import argparse
import ctypes

import llama_cpp
import numpy
import torch
from peft import LoraConfig, get_peft_model, set_peft_model_state_dict

import compare_kl
import llama_peer
import lora_gguf
import reference_model


def adapted_reference(model_path, adapter):
    """A function from ids to the logits of transformers with the adapter."""
    model, metadata = reference_model.load(model_path)
    state, alpha = lora_gguf.read(adapter, model.config, metadata.architecture)
    modules = sorted({name.split(".lora_")[0].rsplit(".", 1)[-1] for name in state})
    rank = next(value.shape[0] for name, value in state.items() if "lora_A" in name)
    tuned = get_peft_model(model, LoraConfig(r=rank, lora_alpha=alpha, target_modules=modules, task_type="CAUSAL_LM"))
    if unknown := set_peft_model_state_dict(tuned, state).unexpected_keys:
        raise SystemExit(f"{adapter}: unknown tensors {unknown}")
    return lambda ids: reference_model.logits(tuned.eval(), ids).numpy()


def adapted_peer(model_path, adapter, threads, window):
    """A function from ids to the logits of llama.cpp with the adapter."""
    peer = llama_peer.Peer(model_path, threads=threads, context=window)
    loaded = llama_cpp.llama_adapter_lora_init(peer.model, str(adapter).encode())
    if not loaded:
        raise SystemExit(f"llama.cpp could not load {adapter}")
    adapters, scales = (ctypes.c_void_p * 1)(loaded), (ctypes.c_float * 1)(1.0)
    pointer = ctypes.cast(adapters, ctypes.POINTER(llama_cpp.llama_adapter_lora_p_ctypes))
    if llama_cpp.llama_set_adapters_lora(peer.context, pointer, 1, scales) != 0:
        raise SystemExit(f"llama.cpp could not apply {adapter}")
    return peer.logits


def divergence(expected, actual):
    """Mean over positions of KL(expected || actual)"""
    values = []
    for start in range(0, len(expected), compare_kl.ROWS):
        p, q = (compare_kl.log_softmax(x[start:start + compare_kl.ROWS]) for x in (expected, actual))
        values += (p.exp() * (p - q)).sum(dim=1).tolist()
    return float(numpy.mean(values))


def systems(arguments, vocabulary):
    """name -> a function from ids to logits"""
    options = [f"--adapter={arguments.adapter}", *arguments.duet_option]

    def duet(ids, more=()):
        return compare_kl.duet_logits(arguments.duet, arguments.model, ids, vocabulary, arguments.threads, more)

    return {
        "base": compare_kl.reference(arguments.model),
        "reference": adapted_reference(arguments.model, arguments.adapter),
        "llama.cpp": adapted_peer(arguments.model, arguments.adapter, arguments.threads, arguments.window),
        "duet": lambda ids: duet(ids, options),
    }


PAIRS = [("llama.cpp", "duet"), ("reference", "duet"), ("reference", "llama.cpp"), ("reference", "base")]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("adapter")
    parser.add_argument("text", help="JSON lines with a field `context`")
    parser.add_argument("--duet", required=True)
    parser.add_argument("--duet-option", action="append", default=[], help="passed to duet, e.g. --duet-option=--activations=f32")
    parser.add_argument("--tokens", type=int, default=1000)
    parser.add_argument("--window", type=int, default=250)
    parser.add_argument("--threads", type=int, default=2)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    tokenizer = llama_peer.Peer(arguments.model, vocabulary_only=True)
    metadata = reference_model.Metadata(reference_model.GGUFReader(arguments.model))
    ids = tokenizer.tokenize(compare_kl.read_text(arguments.text)[:arguments.tokens * 8])
    windows = compare_kl.cut(ids, metadata.start, arguments.window, arguments.tokens)
    functions = systems(arguments, tokenizer.size)
    sums = {pair: 0.0 for pair in PAIRS}
    for window in windows:
        logits = {name: function(window) for name, function in functions.items()}
        for first, second in PAIRS:
            sums[first, second] += divergence(logits[first], logits[second]) / len(windows)
    for (first, second), value in sums.items():
        print(f"mean KL({first} || {second}) over {len(windows) * arguments.window} positions: {value:.3e}")


if __name__ == "__main__":
    main()

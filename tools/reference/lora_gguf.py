"""LoRA adapters between PEFT's folders and GGUF files, and names of weights between transformers and GGUF.

The layout of the files is that of llama.cpp's convert_lora_to_gguf: general.type "adapter",
adapter.type "lora", adapter.lora.alpha, and for each matrix NAME.weight a NAME.weight.lora_a of
[rank, columns] and a NAME.weight.lora_b of [rows, rank]. Rows of Q and K, and so of their lora_b, are
ordered as the family's files order them. Versions: see requirements.txt beside this file.
"""

import json
from pathlib import Path

import numpy
import torch
from gguf import GGUFReader, GGUFWriter, dequantize
from safetensors.torch import load_file, save_file

import reference_model
from reference_model import halves

FUSED = {"self_attn.qkv_proj.weight": "attn_qkv.weight", "mlp.gate_up_proj.weight": "ffn_up.weight"}
PEFT_PREFIX = "base_model.model."


def names(architecture):
    """Names within a layer: transformers' -> GGUF's."""
    known = {**reference_model.BLOCK_NAMES, **reference_model.FAMILY_NAMES[architecture]}
    inner = {**FUSED, **{theirs: ours for ours, theirs in known.items()}}
    return inner | {theirs.replace(".weight", ".bias"): ours.replace(".weight", ".bias")
                    for theirs, ours in inner.items()}


def gguf_name(name, architecture):
    """`model.layers.0.self_attn.q_proj.weight` -> `blk.0.attn_q.weight`"""
    outer = {theirs: ours for ours, theirs in reference_model.OUTER_NAMES.items()}
    if name in outer:
        return outer[name]
    _, _, layer, rest = name.split(".", 3)
    return f"blk.{layer}.{names(architecture)[rest]}"


def transformers_name(name, architecture):
    outer = reference_model.OUTER_NAMES
    if name in outer:
        return outer[name]
    _, layer, rest = name.split(".", 2)
    theirs = {ours: theirs for theirs, ours in names(architecture).items()}
    return f"model.layers.{layer}.{theirs[rest]}"


def pairs(weight, heads):
    """Rows of Q or K as halves of heads -> rotary pairs side by side; undoes reference_model.halves."""
    rows, *columns = weight.shape
    split = weight.reshape(heads, 2, rows // heads // 2, *columns)
    return numpy.ascontiguousarray(split.swapaxes(1, 2)).reshape(weight.shape)


def reordered(name, weight, config, order):
    """Rows of a tensor that the family's files order differently; `order` is `pairs` or `halves`."""
    if config.model_type not in ("llama", "mistral"):
        return weight
    if "attn_q." in name:
        return order(weight, config.num_attention_heads)
    if "attn_k." in name:
        return order(weight, config.num_key_value_heads)
    return weight


def split_peft(name):
    """`base_model.model.model.layers.0.mlp.up_proj.lora_A.weight` -> (`model.layers.0.mlp.up_proj.weight`, "a")"""
    inner = name.removeprefix(PEFT_PREFIX).replace(".default", "")
    base, _, factor = inner.removesuffix(".weight").rpartition(".lora_")
    return f"{base}.weight", factor.lower()


def tensors(state, config, architecture):
    """GGUF tensors of a PEFT state dictionary: [(name, float32 array)]"""
    found = []
    for name, value in state.items():
        base, factor = split_peft(name)
        ours = gguf_name(base, architecture)
        array = value.detach().float().cpu().numpy()
        if factor == "b":
            array = reordered(ours, array, config, pairs)
        found.append((f"{ours}.lora_{factor}", numpy.ascontiguousarray(array)))
    return sorted(found)


def write(path, architecture, alpha, arrays):
    writer = GGUFWriter(path, architecture)
    writer.add_type("adapter")
    writer.add_string("adapter.type", "lora")
    writer.add_float32("adapter.lora.alpha", float(alpha))
    for name, array in arrays:
        writer.add_tensor(name, array)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def read(path, config, architecture):
    """(state dictionary by PEFT names, alpha) of a GGUF adapter"""
    reader, state = GGUFReader(path), {}
    for tensor in reader.tensors:
        base, _, factor = tensor.name.rpartition(".lora_")
        array = dequantize(tensor.data, tensor.tensor_type).astype(numpy.float32)
        if factor == "b" and config.model_type in ("llama", "mistral"):
            array = rows_of_halves(base, array, config)
        theirs = transformers_name(base, architecture).removesuffix(".weight")
        state[f"{PEFT_PREFIX}{theirs}.lora_{factor.upper()}.weight"] = torch.from_numpy(numpy.array(array))
    return state, float(reader.fields["adapter.lora.alpha"].contents())


def rows_of_halves(name, array, config):
    return reordered(name, array, config, lambda weight, heads: halves(weight, heads))


def write_peft(folder, state, adapter_config):
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(state, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps(adapter_config, indent=2) + "\n")


def read_peft(folder):
    """(state dictionary, configuration) of a PEFT folder"""
    folder = Path(folder)
    return load_file(folder / "adapter_model.safetensors"), json.loads((folder / "adapter_config.json").read_text())

#!/usr/bin/env python3
"""Makes models whose weights lie on no grid: what quantizers are judged by.

    make_truth.py noise MODEL.gguf TRUTH.gguf
    make_truth.py train MODEL.gguf TEXT.jsonl... --output TRUTH.gguf

A file that was quantized lies on the grid of its types, which makes these types look free. `noise` adds
uniform noise to every dequantised weight, up to half a step of its block either way, and writes F32.
`train` trains a small decoder of widths 768 and 2048 (whole blocks of 256, where SmolLM2's rows of 576
and Gemma's of 640 are not) with MODEL's tokenizer on the instruction, context and response of each line.

Both are seeded. Needs gguf 0.19 and numpy; `train` also PyTorch (made with 2.13).
"""

import argparse
import json
import time

import numpy as np
from gguf import GGUFReader, GGUFValueType, GGUFWriter
from gguf.quants import dequantize

SEED = 7
# Where the levels lie in a block of each type, by bytes; and the byte of which each level is 1.
LEVELS = {
    "Q4_0": (2, 0x11, 18), "Q4_1": (4, 0x11, 20), "Q5_0": (6, 0x11, 22), "Q5_1": (8, 0x11, 24),
    "Q8_0": (2, 1, 34), "Q4_K": (16, 0x11, 144), "Q5_K": (48, 0x11, 176), "Q6_K": (0, 0x11, 210),
}  # fmt: skip
# Bytes that hold upper bits of levels: zero for both.
UPPER = {"Q5_0": (2, 6), "Q5_1": (4, 8), "Q5_K": (16, 48), "Q6_K": (128, 192)}
LEVEL_ENDS = {"Q6_K": 128}


def steps(data, kind):
    """What one level more adds to each weight: [rows, columns]."""
    start, one, size = LEVELS[kind.name]
    blocks = data.reshape(-1, size).copy()
    if kind.name in UPPER:
        blocks[:, slice(*UPPER[kind.name])] = 0
    end = LEVEL_ENDS.get(kind.name, size)
    blocks[:, start:end] = 0
    low = dequantize(blocks.reshape(data.shape), kind)
    blocks[:, start:end] = one
    return np.abs(dequantize(blocks.reshape(data.shape), kind) - low)


def copy_metadata(reader, writer, skip=()):
    """Adds every pair but those that the writer or the file's types set."""
    for name, field in reader.fields.items():
        if name.startswith("GGUF.") or name in ("general.architecture", "general.file_type", *skip):
            continue
        value = field.contents()
        if field.types[0] == GGUFValueType.ARRAY:
            writer.add_array(name, value)
        else:
            writer.add_key_value(name, value, field.types[0])


def noise(arguments):
    random = np.random.default_rng(SEED)
    reader = GGUFReader(arguments.model)
    writer = GGUFWriter(arguments.output, reader.fields["general.architecture"].contents())
    copy_metadata(reader, writer)
    writer.add_uint32("general.file_type", 0)
    for tensor in reader.tensors:
        data = np.asarray(tensor.data)
        weights = dequantize(data, tensor.tensor_type).astype(np.float32)
        if tensor.tensor_type.name in LEVELS:
            half = 0.5 * steps(data, tensor.tensor_type)
            weights = weights + (half * random.uniform(-1, 1, weights.shape)).astype(np.float32)
        writer.add_tensor(tensor.name, weights.astype(np.float32).reshape(weights.shape))
    write(writer)


def write(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


WIDTH, HIDDEN, LAYERS, HEADS = 768, 2048, 4, 12
WINDOW, BATCH = 128, 4


def token_ids(reader, paths):
    """The ids of all texts, one after the other, each ended by the end-of-text token."""
    from tokenizers import Regex, Tokenizer, models, pre_tokenizers

    fields = reader.fields
    tokens = fields["tokenizer.ggml.tokens"].contents()
    merges = [tuple(line.split(" ")) for line in fields["tokenizer.ggml.merges"].contents()]
    tokenizer = Tokenizer(models.BPE({token: index for index, token in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Split(Regex(r"\d"), "isolated"), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    rows = [json.loads(line) for path in paths for line in open(path, encoding="utf-8")]
    np.random.default_rng(SEED).shuffle(rows)
    texts = ["\n\n".join(filter(None, (r["instruction"], r["context"], r["response"]))) for r in rows]
    return [i for batch in tokenizer.encode_batch(texts) for i in [*batch.ids, 0]]


def make_decoder(torch, embedding):
    """Rotary pairs lie side by side, as in GGUF's llama; embedding and output are one matrix."""
    nn, functional = torch.nn, torch.nn.functional

    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            shapes = {"ffn_gate": (WIDTH, HIDDEN), "ffn_up": (WIDTH, HIDDEN), "ffn_down": (HIDDEN, WIDTH)}
            for name in ("attn_q", "attn_k", "attn_v", "attn_output"):
                shapes[name] = (WIDTH, WIDTH)
            for name, (inputs, outputs) in shapes.items():
                setattr(self, name, nn.Linear(inputs, outputs, bias=False))
            self.attn_norm, self.ffn_norm = nn.RMSNorm(WIDTH, 1e-5), nn.RMSNorm(WIDTH, 1e-5)

        def forward(self, x, rotation):
            batch, count, _ = x.shape
            normed = self.attn_norm(x)
            q, k, v = (
                part(normed).view(batch, count, HEADS, -1).transpose(1, 2)
                for part in (self.attn_q, self.attn_k, self.attn_v)
            )
            q, k = (rotate(t, rotation) for t in (q, k))
            mixed = functional.scaled_dot_product_attention(q, k, v, is_causal=True)
            x = x + self.attn_output(mixed.transpose(1, 2).reshape(batch, count, WIDTH))
            normed = self.ffn_norm(x)
            return x + self.ffn_down(functional.silu(self.ffn_gate(normed)) * self.ffn_up(normed))

    def rotate(x, rotation):
        pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], -1, 2))
        return torch.view_as_real(pairs * rotation).flatten(-2)

    class Decoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.token_embd = nn.Embedding.from_pretrained(embedding, freeze=False)
            self.blk = nn.ModuleList(Layer() for _ in range(LAYERS))
            self.output_norm = nn.RMSNorm(WIDTH, 1e-5)

        def forward(self, ids):
            size = WIDTH // HEADS
            angles = torch.arange(ids.shape[1])[:, None] * 10_000 ** (-torch.arange(0, size, 2) / size)
            rotation = torch.polar(torch.ones_like(angles), angles)
            x = self.token_embd(ids)
            for layer in self.blk:
                x = layer(x, rotation)
            return self.output_norm(x) @ self.token_embd.weight.T

    return Decoder()


def train(arguments):
    import torch

    torch.manual_seed(SEED)
    torch.set_num_threads(arguments.threads)
    reader = GGUFReader(arguments.model)
    ids = torch.tensor(token_ids(reader, arguments.text))
    source = next(t for t in reader.tensors if t.name == "token_embd.weight")
    known = torch.tensor(dequantize(np.asarray(source.data), source.tensor_type))
    # The embeddings that are known already, turned into the wider space.
    turned = known @ torch.linalg.qr(torch.randn(WIDTH, known.shape[1]))[0].T
    model = make_decoder(torch, turned)
    optimiser = torch.optim.AdamW(model.parameters(), 1e-3, betas=(0.9, 0.95), weight_decay=0.01)
    start, step = time.time(), 0
    while (share := (time.time() - start) / arguments.seconds) < 1:
        for group in optimiser.param_groups:
            group["lr"] = 1e-3 * min(1, (step + 1) / 20) * (1 - 0.9 * share)
        places = torch.randint(len(ids) - WINDOW - 1, (BATCH,))
        batch = torch.stack([ids[p : p + WINDOW + 1] for p in places])
        logits = model(batch[:, :-1])
        loss = torch.nn.functional.cross_entropy(logits.flatten(0, 1), batch[:, 1:].flatten())
        optimiser.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1)
        optimiser.step()
        step += 1
        if step % 10 == 0:
            print(f"step {step}, {time.time() - start:.0f} s, loss {loss.item():.3f}", flush=True)
    save(reader, model, arguments.output)


def save(reader, model, path):
    writer = GGUFWriter(path, "llama")
    own = [name for name in reader.fields if name.startswith("llama.") or name.startswith("general.")]
    copy_metadata(reader, writer, skip=own)
    writer.add_name("Small decoder")
    writer.add_uint32("general.file_type", 0)
    writer.add_block_count(LAYERS)
    writer.add_context_length(2048)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(HIDDEN)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10_000.0)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_vocab_size(model.token_embd.weight.shape[0])
    for name, weight in model.state_dict().items():
        writer.add_tensor(name, weight.float().numpy())
    write(writer)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    commands = parser.add_subparsers(required=True)
    command = commands.add_parser("noise")
    command.add_argument("model")
    command.add_argument("output")
    command.set_defaults(run=noise)
    command = commands.add_parser("train")
    command.add_argument("model")
    command.add_argument("text", nargs="+")
    command.add_argument("--output", required=True)
    command.add_argument("--seconds", type=int, default=2700)
    command.add_argument("--threads", type=int, default=1)
    command.set_defaults(run=train)
    arguments = parser.parse_args()
    arguments.run(arguments)


main()

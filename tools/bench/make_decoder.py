#!/usr/bin/env python3
"""Writes a decoder of the llama family with random weights, to measure formats by.

usage: make_decoder.py OUT.gguf [--width 768] [--layers 12] [--seed 1]

Weights are drawn from Student's t distribution with three degrees of freedom, whose tails are as
heavy as those of trained ones, in half precision; llama-quantize --pure makes the other formats.
Heads hold 64 values, a key-value head serves four query heads, the vocabulary has 2,048 tokens.
Needs numpy and gguf (tools/reference/requirements.txt).
"""

import argparse

import gguf
import numpy as np

VOCABULARY = 2048


def tokens():
    """(texts, scores, kinds) of a SentencePiece vocabulary: three control tokens, bytes, words"""
    kind = gguf.TokenType
    texts = ["<unk>", "<s>", "</s>"] + [f"<0x{byte:02X}>" for byte in range(256)]
    kinds = [kind.UNKNOWN, kind.CONTROL, kind.CONTROL] + [kind.BYTE] * 256
    words = VOCABULARY - len(texts)
    texts += [f"\u2581w{index}" for index in range(words)]
    kinds += [kind.NORMAL] * words
    return texts, [-float(index) for index in range(VOCABULARY)], kinds


def write_vocabulary(writer):
    texts, scores, kinds = tokens()
    writer.add_tokenizer_model("llama")
    writer.add_token_list(texts)
    writer.add_token_scores(scores)
    writer.add_token_types(kinds)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out")
    parser.add_argument("--width", type=int, default=768)
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    width, heads = arguments.width, arguments.width // 64
    groups, inner = max(1, heads // 4), arguments.width * 8 // 3 // 256 * 256
    random = np.random.default_rng(arguments.seed)
    writer = gguf.GGUFWriter(arguments.out, "llama")
    writer.add_name(f"random {width}")
    writer.add_context_length(4096)
    writer.add_embedding_length(width)
    writer.add_block_count(arguments.layers)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(groups)
    writer.add_rope_dimension_count(64)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(VOCABULARY)
    write_vocabulary(writer)

    def matrix(name, rows, columns):
        values = random.standard_t(3, (rows, columns)) * (0.5 / np.sqrt(columns))
        writer.add_tensor(f"{name}.weight", values.astype(np.float16))

    def norm(name):
        writer.add_tensor(f"{name}.weight", np.ones(width, dtype=np.float32))

    matrix("token_embd", VOCABULARY, width)
    matrix("output", VOCABULARY, width)
    norm("output_norm")
    for layer in range(arguments.layers):
        prefix = f"blk.{layer}"
        norm(f"{prefix}.attn_norm")
        norm(f"{prefix}.ffn_norm")
        matrix(f"{prefix}.attn_q", width, width)
        matrix(f"{prefix}.attn_k", 64 * groups, width)
        matrix(f"{prefix}.attn_v", 64 * groups, width)
        matrix(f"{prefix}.attn_output", width, width)
        matrix(f"{prefix}.ffn_gate", inner, width)
        matrix(f"{prefix}.ffn_up", inner, width)
        matrix(f"{prefix}.ffn_down", width, inner)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


if __name__ == "__main__":
    main()

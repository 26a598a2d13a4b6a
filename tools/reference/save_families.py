#!/usr/bin/env python3
"""Writes the tiny models of record_families.py as whole checkpoint folders, with tokenizers, for
compare_conversion.py: byte-level ones, and SentencePiece ones with their tokenizer.model.

The tokenizers are trained on the documentation, to 320 tokens. Versions: see requirements.txt, and
sentencepiece 0.2.3.

usage: save_families.py FOLDER [--case NAME]
"""

import argparse
import pathlib
import shutil

import sentencepiece
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast
from transformers.convert_slow_tokenizer import SentencePieceExtractor

import record_families

VOCABULARY = 320
ROOT = pathlib.Path(__file__).resolve().parents[2]
CONTRACTION = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
RULES = {
    "llama": CONTRACTION + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}" + REST,
    "qwen": CONTRACTION + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}" + REST,
}
TEMPLATE = "{% for m in messages %}<s>{{ m['role'] }}: {{ m['content'] }}</s>{% endfor %}"


def corpus():
    return sorted(str(path) for path in (ROOT / "docs").glob("*.md"))


def byte_level(rule, normalizer):
    tokenizer = Tokenizer(models.BPE())
    tokenizer.normalizer = normalizer
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([
        pre_tokenizers.Split(Regex(rule), behavior="isolated"),
        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train(corpus(), trainers.BpeTrainer(
        vocab_size=VOCABULARY, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        special_tokens=["<pad>", "<s>", "</s>"], show_progress=False))
    return tokenizer


def pieces(folder, prefix):
    model = folder / "tokenizer"
    sentencepiece.SentencePieceTrainer.train(
        input=",".join(corpus()), model_prefix=str(model), vocab_size=VOCABULARY, model_type="bpe",
        byte_fallback=True, character_coverage=0.98, pad_id=0, bos_id=1, eos_id=2, unk_id=3, pad_piece="<pad>",
        hard_vocab_limit=False, add_dummy_prefix=prefix, remove_extra_whitespaces=False, minloglevel=2)
    (folder / "tokenizer.vocab").unlink()
    found = SentencePieceExtractor(str(model) + ".model").extract(models.BPE)
    vocabulary, merges = found["vocab"], [tuple(pair[:2]) for pair in found["merges"]]
    tokenizer = Tokenizer(models.BPE(vocabulary, merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    steps = [normalizers.Prepend("▁")] if prefix else []
    tokenizer.normalizer = normalizers.Sequence(steps + [normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    tokenizer.add_special_tokens(["<pad>", "<s>", "</s>", "<unk>"])
    return tokenizer


def save(case, folder):
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    record_families.COMMON["vocab_size"] = VOCABULARY
    record_families.make(case)[0].save_pretrained(folder)
    if case.startswith(("gemma", "phi", "mistral")):
        tokenizer = pieces(folder, prefix=not case.startswith("gemma"))
    else:
        tokenizer = byte_level(RULES[case[:4] if case.startswith("qwen") else "llama"],
                               normalizers.NFC() if case.startswith("qwen") else None)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="<pad>",
        unk_token="<unk>" if (folder / "tokenizer.model").exists() else None)
    fast.chat_template = TEMPLATE
    fast.save_pretrained(folder)
    print(f"{folder}: {len(fast)} tokens")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--case", choices=record_families.CASES)
    arguments = parser.parse_args()
    for case in [arguments.case] if arguments.case else record_families.CASES:
        save(case, arguments.folder / case)


if __name__ == "__main__":
    main()

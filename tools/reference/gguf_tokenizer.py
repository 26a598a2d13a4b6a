"""The tokenizer inside of a GGUF file, for the tokenizers and transformers libraries.

Byte-level BPE files hold pieces and merges; the pre-tokenizer is named, and its expressions are listed
here, as the tokenizer.json files of these models have them. SentencePiece files ("llama") hold pieces and
scores: the rank of a merge is that of the piece that it makes.
Versions: see requirements.txt beside this file.
"""

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
from transformers import PreTrainedTokenizerFast

CONTROL, USER_DEFINED = 3, 4  # GGUF token types
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
          r"|\s*[\r\n]+|\s+(?!\S)|\s+")
# tokenizer.ggml.pre -> where words are cut, one after the other
WORDS = {
    "gpt-2": [GPT2],
    "smollm": [r"\p{N}", GPT2],
    "llama-bpe": [LLAMA3],
    "qwen2": [LLAMA3.replace("{1,3}", "")],
}


def byte_level(metadata, pieces):
    pre = metadata["tokenizer.ggml.pre"]
    if pre not in WORDS:
        raise SystemExit(f"gguf_tokenizer.py: the pre-tokenizer {pre} is not supported; use the Hugging Face folder")
    merges = [tuple(merge.split(" ", 1)) for merge in metadata["tokenizer.ggml.merges"]]
    tokenizer = Tokenizer(models.BPE(vocab={piece: token for token, piece in enumerate(pieces)}, merges=merges,
                                     ignore_merges=pre == "llama-bpe"))
    splits = [pre_tokenizers.Split(Regex(expression), "isolated") for expression in WORDS[pre]]
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [*splits, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


def merges_of(pieces, scores, types):
    """Every way to make a piece of two others, the best score first."""
    ids = {piece: token for token, piece in enumerate(pieces) if types[token] != CONTROL}
    found = []
    for piece, token in ids.items():
        for cut in range(1, len(piece)):
            left, right = ids.get(piece[:cut]), ids.get(piece[cut:])
            if left is not None and right is not None:
                found.append((-scores[token], left, right))
    return [(pieces[left], pieces[right]) for _, left, right in sorted(found)]


def sentence_piece(metadata, pieces, types):
    if metadata.fields.get("tokenizer.ggml.add_space_prefix") is None or metadata["tokenizer.ggml.add_space_prefix"]:
        raise SystemExit("gguf_tokenizer.py: a space before the text is not supported; use the Hugging Face folder")
    merges = merges_of(pieces, metadata["tokenizer.ggml.scores"], types)
    tokenizer = Tokenizer(models.BPE(vocab={piece: token for token, piece in enumerate(pieces)}, merges=merges,
                                     byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()])
    return tokenizer


def tokenizer(metadata):
    """A transformers tokenizer for the metadata (reference_model.Metadata) of a GGUF file."""
    pieces, types = metadata["tokenizer.ggml.tokens"], metadata["tokenizer.ggml.token_type"]
    kind = metadata["tokenizer.ggml.model"]
    if kind not in ("gpt2", "llama"):
        raise SystemExit(f"gguf_tokenizer.py: the tokenizer {kind} is not supported; use the Hugging Face folder")
    backend = byte_level(metadata, pieces) if kind == "gpt2" else sentence_piece(metadata, pieces, types)
    backend.add_special_tokens([AddedToken(pieces[i], normalized=False) for i, t in enumerate(types) if t == CONTROL])
    backend.add_tokens([AddedToken(pieces[i], normalized=False) for i, t in enumerate(types) if t == USER_DEFINED])

    def named(key):
        field = metadata.fields.get(f"tokenizer.ggml.{key}_token_id")
        return None if field is None else pieces[field.contents()]

    template = metadata.fields.get("tokenizer.chat_template")
    made = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token=named("bos"), eos_token=named("eos"),
        pad_token=named("padding") or named("eos"), chat_template=template.contents() if template else None)
    made.add_bos_token = bool(metadata.start)  # this class reads it from no argument
    return made

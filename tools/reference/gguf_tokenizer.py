"""The tokenizer inside of a GGUF file, for the tokenizers and transformers libraries.

Byte-level BPE files hold pieces and merges; the pre-tokenizer is named, and its expressions are listed
here, as the tokenizer.json files of these models have them. SentencePiece files ("llama") hold pieces and
scores: the rank of a merge is that of the piece that it makes. WordPiece files ("bert") mark the starts of
words instead of what continues them.
Versions: see requirements.txt beside this file.
"""

from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

UNKNOWN, CONTROL, USER_DEFINED = 2, 3, 4  # GGUF token types
GPT2 = r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"
ENDING = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
SPACE = r"|\s*[\r\n]+|\s+(?!\S)|\s+"
LLAMA3 = (ENDING + r"|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*" + SPACE)
UPPER, LOWER = r"\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}", r"\p{Ll}\p{Lm}\p{Lo}\p{M}"
CASED = [rf"[^\r\n\p{{L}}\p{{N}}]?[{UPPER}]*[{LOWER}]+", rf"[^\r\n\p{{L}}\p{{N}}]?[{UPPER}]+[{LOWER}]*"]
BLOOM = " ?[^(\\s|.,!?…。，、।۔،)]+"
CHINESE = "[\u4e00-\u9fa5\u0800-\u4e00\uac00-\ud7ff]+"
# DeepSeek LLM's letters with case, and its signs.
CASED_LETTERS = (
    "A-Za-z\u00b5\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u01ba\u01bc-\u01bf\u01c4-\u0293\u0295-\u02af\u0370-\u0373"
    "\u0376\u0377\u037b-\u037d\u037f\u0386\u0388-\u038a\u038c\u038e-\u03a1\u03a3-\u03f5\u03f7-\u0481\u048a-\u052f"
    "\u0531-\u0556\u10a0-\u10c5\u13a0-\u13f5\u13f8-\u13fd\u1c90-\u1cba\u1cbd-\u1cbf\u1d00-\u1d2b\u1d6b-\u1d77"
    "\u1d79-\u1d9a\u1e00-\u1f15\u1f18-\u1f1d\u1f20-\u1f45\u1f48-\u1f4d\u1f50-\u1f57\u1f59\u1f5b\u1f5d\u1f5f-"
    "\u1f7d\u1f80-\u1fb4\u1fb6-\u1fbc\u1fbe\u1fc2-\u1fc4\u1fc6-\u1fcc\u1fd0-\u1fd3\u1fd6-\u1fdb\u1fe0-\u1fec"
    "\u1ff2-\u1ff4\u1ff6-\u1ffc\u2102\u2107\u210a-\u2113\u2115\u2119-\u211d\u2124\u2126\u2128\u212a-\u212d\u212f-"
    "\u2134\u2139\u213c-\u213f\u2145-\u2149\u214e\u2183\u2184\u2c00-\u2c7b\u2c7e-\u2ce4\u2ceb-\u2cee\u2cf2\u2cf3"
    "\ua640-\ua66d\ua680-\ua69b\ua722-\ua76f\ua771-\ua787\ua78b-\ua78e\uab70-\uabbf\ufb00-\ufb06\ufb13-\ufb17"
    "\uff21-\uff3a\uff41-\uff5a\U00010400-\U0001044f\U000104b0-\U000104d3\U000104d8-\U000104fb\U00010c80-"
    "\U00010cb2\U00010cc0-\U00010cf2\U000118a0-\U000118df\U0001e900-\U0001e943")
SIGNS = "!-/:-~！-／：-～‘-‟\u3000-。"
# tokenizer.ggml.pre -> where words are cut, one after the other
WORDS = {
    "gpt-2": [GPT2],
    "smollm": [r"\p{N}", GPT2],
    "llama-bpe": [LLAMA3],
    "qwen2": [LLAMA3.replace("{1,3}", "")],
    "tekken": [rf"{CASED[0]}|{CASED[1]}|\p{{N}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*" + SPACE],
    "gpt-4o": [
        rf"{CASED[0]}{ENDING}?|{CASED[1]}{ENDING}?|\p{{N}}{{1,3}}| ?[^\s\p{{L}}\p{{N}}]+[\r\n/]*" + SPACE],
    "qwen35": [
        rf"{ENDING}|[^\r\n\p{{L}}\p{{N}}]?[\p{{L}}\p{{M}}]+|\p{{N}}| ?[^\s\p{{L}}\p{{M}}\p{{N}}]+[\r\n]*" + SPACE],
    "deepseek-v3": [
        r"\p{N}{1,3}", "[\u4e00-\u9fa5\u3040-\u309f\u30a0-\u30ff]+",
        r"""[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*"""
        + SPACE],
    "deepseek-llm": [
        r"[\r\n]", rf"\s?[{CASED_LETTERS}]+", rf"\s?[{SIGNS}]+", r"\s+$", CHINESE, r"\p{N}+"],
    "deepseek-coder": [r"[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", CHINESE, r"\p{N}"],
    "bloom": [BLOOM],
    "viking": [BLOOM, r"\p{N}"],
    "falcon": [r"[\p{P}$+<=>^~|`]+", GPT2, r"[0-9][0-9][0-9]"],
    "default": [r"[\p{P}\$\+<=>\^~\|]+", GPT2, r"\p{N}+", r"[0-9][0-9][0-9]"],  # llama.cpp's own
}
# Names for the same rules.
SAME = {
    "mpt": "gpt-2", "starcoder": "smollm", "refact": "smollm", "command-r": "smollm", "chatglm-bpe": "llama-bpe",
    "stablelm2": "qwen2",
}
WHOLE_WORDS = ("llama-bpe", "tekken")  # a word that is a token is not put together of others
# Texts of tokens that end an answer, which are special whatever a file calls them.
ENDS = (
    "<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<|end|>", "<|endoftext|>", "<|end_of_text|>", "<end_of_turn>", "<eos>",
    "<EOT>", "[EOT]", "[EOS]", "<end_of_utterance>", "<｜end▁of▁sentence｜>", "<turn|>")


def byte_level(get, pieces):
    pre = get("tokenizer.ggml.pre") or "default"
    rules = SAME.get(pre, pre)
    if rules not in WORDS:
        raise SystemExit(f"gguf_tokenizer.py: the pre-tokenizer {pre} is not supported; use the Hugging Face folder")
    known = set(pieces)
    merges = [tuple(merge.split(" ", 1)) for merge in get("tokenizer.ggml.merges")]
    merges = [pair for pair in merges if "".join(pair) in known and known.issuperset(pair)]
    tokenizer = Tokenizer(models.BPE(vocab={piece: token for token, piece in enumerate(pieces)}, merges=merges,
                                     ignore_merges=pre in WHOLE_WORDS))
    splits = [pre_tokenizers.Split(Regex(expression), "isolated") for expression in WORDS[rules]]
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


def sentence_piece(get, pieces, types):
    merges = merges_of(pieces, get("tokenizer.ggml.scores"), types)
    tokenizer = Tokenizer(models.BPE(vocab={piece: token for token, piece in enumerate(pieces)}, merges=merges,
                                     byte_fallback=True, fuse_unk=True, unk_token="<unk>"))
    prefixed = get("tokenizer.ggml.add_space_prefix") is not False
    steps = [normalizers.Prepend("▁")] if prefixed else []
    tokenizer.normalizer = normalizers.Sequence([*steps, normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
        + ([decoders.Strip(" ", 1, 0)] if prefixed else []))
    return tokenizer


def word_piece(pieces):
    def published(piece):
        if piece.startswith("[") and piece.endswith("]"):
            return piece
        return piece.removeprefix("▁") if piece.startswith("▁") else "##" + piece

    vocabulary = {published(piece): token for token, piece in enumerate(pieces)}
    tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=100))
    tokenizer.normalizer = normalizers.BertNormalizer()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = decoders.WordPiece()
    return tokenizer


def backend(get):
    """A tokenizer of the tokenizers library; `get` gives the value of a key of the file, or None."""
    pieces, kind = get("tokenizer.ggml.tokens"), get("tokenizer.ggml.model")
    types = get("tokenizer.ggml.token_type") or [1] * len(pieces)
    if kind not in ("gpt2", "llama", "bert"):
        raise SystemExit(f"gguf_tokenizer.py: the tokenizer {kind} is not supported; use the Hugging Face folder")
    if kind == "gpt2":
        made = byte_level(get, pieces)
    else:
        made = sentence_piece(get, pieces, types) if kind == "llama" else word_piece(pieces)
    named = {get(f"tokenizer.ggml.{name}_token_id") for name in ("bos", "eos", "eot", "eom", "cls", "seperator")}
    # Phi 3's special tokens take the white space after them along, save three.
    strips = kind == "llama" and get("general.architecture") == "phi3"

    def added(token):
        strip = strips and pieces[token] not in ("<unk>", "<s>", "<|endoftext|>")
        return AddedToken(pieces[token], normalized=False, rstrip=strip)

    special = [i for i, t in enumerate(types)
               if t in (CONTROL, UNKNOWN) or i in named or t == USER_DEFINED and pieces[i] in ENDS]
    made.add_special_tokens([added(i) for i in special])
    made.add_tokens([added(i) for i in sorted({i for i, t in enumerate(types) if t == USER_DEFINED} - set(special))])
    return made


def tokenizer(metadata):
    """A transformers tokenizer for the metadata (reference_model.Metadata) of a GGUF file."""
    from transformers import PreTrainedTokenizerFast

    def get(key):
        field = metadata.fields.get(key)
        return None if field is None else field.contents()

    def named(key):
        token = get(f"tokenizer.ggml.{key}_token_id")
        return None if token is None else get("tokenizer.ggml.tokens")[token]

    made = PreTrainedTokenizerFast(
        tokenizer_object=backend(get), bos_token=named("bos"), eos_token=named("eos"),
        pad_token=named("padding") or named("eos"), chat_template=get("tokenizer.chat_template"))
    made.add_bos_token = bool(metadata.start)  # this class reads it from no argument
    return made

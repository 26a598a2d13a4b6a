"""llama.cpp through its C interface: tokenization and logits of whole windows.

Needs llama-cpp-python (its bindings; LLAMA_CPP_LIB_PATH may name the folder of another build of the
same version's libllama). Settings are the program's own defaults, flash attention "auto" and an f16
cache among them, but for the number of threads.
"""

import ctypes

import llama_cpp
import numpy


class Peer:
    def __init__(self, path, threads=2, context=512, vocabulary_only=False, adapter=None, exact=False):
        llama_cpp.llama_backend_init()
        self.silence = llama_cpp.llama_log_callback(lambda *_: None)
        llama_cpp.llama_log_set(self.silence, ctypes.c_void_p(0))
        parameters = llama_cpp.llama_model_default_params()
        parameters.vocab_only = vocabulary_only
        self.model = llama_cpp.llama_model_load_from_file(str(path).encode(), parameters)
        if not self.model:
            raise SystemExit(f"llama.cpp could not load {path}")
        self.vocabulary = llama_cpp.llama_model_get_vocab(self.model)
        self.size = llama_cpp.llama_vocab_n_tokens(self.vocabulary)
        if not vocabulary_only:
            self.context = self.open(threads, context, exact)
        if adapter:
            self.adapt(adapter)

    def adapt(self, path):
        self.adapter = llama_cpp.llama_adapter_lora_init(self.model, str(path).encode())
        if not self.adapter:
            raise SystemExit(f"llama.cpp could not load {path}")
        adapters = (type(self.adapter) * 1)(self.adapter)
        scales = (ctypes.c_float * 1)(1.0)
        if llama_cpp.llama_set_adapters_lora(self.context, adapters, 1, scales) != 0:
            raise SystemExit(f"llama.cpp could not apply {path}")

    def open(self, threads, context, exact):
        parameters = llama_cpp.llama_context_default_params()
        parameters.n_ctx = parameters.n_batch = context
        if exact:  # a cache in single precision, which flash attention does not take
            parameters.type_k = parameters.type_v = llama_cpp.GGML_TYPE_F32
            parameters.flash_attn_type = llama_cpp.LLAMA_FLASH_ATTN_TYPE_DISABLED
        parameters.n_threads = parameters.n_threads_batch = threads
        return llama_cpp.llama_init_from_model(self.model, parameters)

    def tokenize(self, text, special=False):
        """Ids of `text`, without a start token; literal special tokens are read if `special`."""
        raw = text.encode()
        ids = (llama_cpp.llama_token * (len(raw) + 8))()
        count = llama_cpp.llama_tokenize(self.vocabulary, raw, len(raw), ids, len(ids), False, special)
        return list(ids[:count])

    def logits(self, ids):
        """float32 [positions, vocabulary] of one window in one batch from an empty cache"""
        llama_cpp.llama_memory_clear(llama_cpp.llama_get_memory(self.context), True)
        batch = llama_cpp.llama_batch_init(len(ids), 0, 1)
        batch.n_tokens = len(ids)
        for position, token in enumerate(ids):
            batch.token[position] = token
            batch.pos[position] = position
            batch.n_seq_id[position] = 1
            batch.seq_id[position][0] = 0
            batch.logits[position] = 1
        status = llama_cpp.llama_decode(self.context, batch)
        llama_cpp.llama_batch_free(batch)
        if status != 0:
            raise SystemExit(f"llama_decode failed with {status}")
        raw = llama_cpp.llama_get_logits(self.context)
        return numpy.ctypeslib.as_array(raw, shape=(len(ids) * self.size,)).reshape(len(ids), -1).copy()

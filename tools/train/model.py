"""The base model, its adapter, and the loss over the positions that count alone."""

import sys
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from torch.nn import functional
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerBase

from batches import Batch

PROJECTIONS = ("q", "k", "v", "o", "gate", "up", "down")
FUSED = {"q": "qkv_proj", "k": "qkv_proj", "v": "qkv_proj", "gate": "gate_up_proj", "up": "gate_up_proj"}


def load_base(path: str, dtype: torch.dtype) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """A model and its tokenizer from a GGUF file, whose weights are dequantised, or from a Hugging Face folder."""
    if not path.endswith(".gguf"):
        return AutoModelForCausalLM.from_pretrained(path, dtype=dtype), AutoTokenizer.from_pretrained(path)
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "reference"))
    import gguf_tokenizer
    import reference_model

    model, metadata = reference_model.load(path)
    model.set_attn_implementation("sdpa")
    return model.to(dtype), gguf_tokenizer.tokenizer(metadata)


def targets(model: PreTrainedModel, projections: tuple[str, ...]) -> list[str]:
    """The modules that these projections are called in this model."""
    names = {name.rsplit(".", 1)[-1] for name, module in model.named_modules() if isinstance(module, nn.Linear)}
    found = {f"{part}_proj" if f"{part}_proj" in names else FUSED.get(part) for part in projections}
    if missing := found - names:
        raise SystemExit(f"the model has no projections {missing}")
    return sorted(found)


def with_adapter(model: PreTrainedModel, rank: int, alpha: float, dropout: float,
                 projections: tuple[str, ...] = PROJECTIONS) -> PeftModel:
    return get_peft_model(model, LoraConfig(
        task_type="CAUSAL_LM", r=rank, lora_alpha=alpha, lora_dropout=dropout, bias="none",
        target_modules=targets(model, projections)))


class SummedLoss(nn.Module):
    """A causal language model whose forward pass is the sum of the losses that count.

    The vocabulary product is computed for the positions in the loss only. Packed examples are kept
    apart by their positions: transformers builds a block-diagonal mask where these restart.
    """

    def __init__(self, model: PreTrainedModel | PeftModel):
        super().__init__()
        self.model = model

    @property
    def core(self) -> PreTrainedModel:
        return self.model.get_base_model() if isinstance(self.model, PeftModel) else self.model

    def forward(self, batch: Batch) -> torch.Tensor:
        core = self.core
        hidden = core.model(input_ids=batch.ids, position_ids=batch.positions, use_cache=False).last_hidden_state
        logits = core.lm_head(hidden[batch.rows, batch.columns]).float()
        cap = getattr(core.config, "final_logit_softcapping", None)
        if cap:
            logits = cap * torch.tanh(logits / cap)
        return functional.cross_entropy(logits, batch.targets, reduction="sum")

#!/usr/bin/env python3
"""From start to caption: `duet caption` beside the same model in PyTorch, in alternating runs on one machine.

usage: caption.py --model BASE.gguf --folder DIR [--duet BINARY] [--pair models/default] [--photo PHOTO.jpg]
                  [--runs 5] [--threads 2]

Once, DIR is given the model as PyTorch programs keep it: the base dequantized to single precision with the seeing
tuning worked in (safetensors, read by transformers), the tokenizer, the projector, EfficientNet-Lite0's published
weights. A run is then a process of its own, all files in the page cache: read the photo with Pillow, encode it, write
the likeliest caption. Both write the words of a sentence, up to its full stop. Without --photo one of twelve
megapixels is drawn. Memory is the peak of RssAnon. Both take the likeliest word each time. Versions:
tools/reference/requirements.txt.
"""

import argparse
import json
import statistics
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path += [str(ROOT / "tools" / "bench"), str(ROOT / "tools" / "reference"), str(ROOT / "tools")]
MOST_TOKENS = 48
PICTURE = "\x1a"


def draw_photo(path, width=4000, height=3000):
    """A lawn, a sky with clouds, a red ball: twelve megapixels with noise, as a camera's have."""
    import numpy as np
    from PIL import Image

    random = np.random.default_rng(1)
    y, x = np.mgrid[0:height, 0:width].astype(np.float32) / height
    values = np.empty((height, width, 3), np.float32)
    values[...] = np.where((y < 0.5)[..., None], [120, 170, 230], [70, 140, 60])
    values += (20 * np.sin(9 * x + 4 * np.sin(7 * y)) * np.cos(11 * y))[..., None]
    values[(x - 0.7) ** 2 + (y - 0.7) ** 2 < 0.02] = [200, 40, 30]
    values += random.normal(0, 6, values.shape).astype(np.float32)
    Image.fromarray(np.clip(values, 0, 255).astype(np.uint8)).save(path, quality=92)


def prepare(folder, base, pair):
    """Writes what the PyTorch process reads."""
    import gguf_tokenizer
    import torch
    from convert_efficientnet import reference
    from gguf import GGUFReader, dequantize
    from jinja2 import Environment
    from reference_model import load

    folder.mkdir(parents=True, exist_ok=True)
    model, metadata = load(base, str(pair / "seeing.gguf"))
    model.save_pretrained(folder / "model")
    gguf_tokenizer.tokenizer(metadata).backend_tokenizer.save(str(folder / "tokenizer.json"))
    vision = GGUFReader(str(pair / "vision.gguf"))
    parts = {t.name: torch.from_numpy(dequantize(t.data, t.tensor_type).copy()) for t in vision.tensors
             if t.name.startswith("mm.")}
    torch.save({"encoder": reference().state_dict(), "projector": parts}, folder / "vision.pt")
    names = vision.fields["duet.vision.classes"].contents()
    question = vision.fields["duet.vision.question"].contents()
    template = Environment().from_string(metadata["tokenizer.chat_template"])
    message = {"role": "user", "content": f"{PICTURE}\n{{hint}}{question}"}
    prompt = template.render(messages=[message], add_generation_prompt=True, bos_token="<|im_start|>")
    (folder / "prompt.json").write_text(json.dumps({"prompt": prompt, "names": list(names)}))


def things(features, layer, names):
    """What the classifier takes the picture to show, as Duet picks it: five names at most, of 3 % or more each."""
    import torch

    shares = {}
    for name, share in zip(names, torch.softmax(layer(features.mean((2, 3)))[0], 0).tolist()):
        shares[name] = shares.get(name, 0) + share
    likely = sorted((-share, name) for name, share in shares.items() if share >= 0.03)[:5]
    return [name for _, name in likely]


class Captioner:
    """The model in PyTorch."""

    def __init__(self, folder, threads):
        import torch
        from efficientnet_lite_pytorch import EfficientNet
        from tokenizers import Tokenizer
        from transformers import LlamaForCausalLM

        torch.set_num_threads(threads)
        torch.set_grad_enabled(False)
        self.torch = torch
        self.model = LlamaForCausalLM.from_pretrained(folder / "model", dtype=torch.float32).eval()
        self.tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
        kept = torch.load(folder / "vision.pt", mmap=True)
        self.encoder = EfficientNet.from_name("efficientnet-lite0")
        self.encoder.load_state_dict(kept["encoder"])
        self.encoder.eval()
        self.parts = kept["projector"]
        texts = json.loads((folder / "prompt.json").read_text())
        self.prompt, self.names = texts["prompt"], texts["names"]

    def embeddings(self, photo):
        """[1, positions, width]: the prompt with the picture in its place"""
        import numpy as np
        from PIL import Image

        torch, part = self.torch, self.parts
        picture = Image.open(photo)
        picture.draft("RGB", (448, 448))
        picture = picture.convert("RGB").resize((224, 224), Image.Resampling.BICUBIC)
        pixels = (torch.from_numpy(np.array(picture)).float() - 127) / 128
        features = self.encoder.extract_features(pixels.permute(2, 0, 1)[None])
        found = things(features, self.encoder._fc, self.names)
        columns = features.flatten(2)[0].T
        linear, gelu = torch.nn.functional.linear, torch.nn.functional.gelu
        hidden = gelu(linear(columns, part["mm.0.weight"], part["mm.0.bias"]), approximate="tanh")
        seen = linear(hidden, part["mm.2.weight"], part["mm.2.bias"])
        hint = f"It may show: {', '.join(found)}.\n" if found else ""
        before, after = self.prompt.replace("{hint}", hint).split(PICTURE)
        table = self.model.get_input_embeddings()
        words = [table(torch.tensor(self.tokenizer.encode(text, add_special_tokens=False).ids, dtype=torch.long))
                 for text in (before, after)]
        return torch.cat([words[0], seen, words[1]])[None]

    def caption(self, photo, **options):
        values = self.embeddings(photo)
        end = self.tokenizer.token_to_id("<|im_end|>")
        stop = self.tokenizer.encode(".", add_special_tokens=False).ids[0]
        found = self.model.generate(
            inputs_embeds=values, attention_mask=self.torch.ones(values.shape[:2], dtype=self.torch.long),
            max_new_tokens=MOST_TOKENS, do_sample=False, eos_token_id=[end, stop], pad_token_id=end, **options)
        return self.tokenizer.decode(found[0].tolist()).strip()


def figures(values):
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--duet", default=str(ROOT / ".build/release/duet"))
    parser.add_argument("--pair", type=Path, default=ROOT / "models/default")
    parser.add_argument("--photo")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--torch", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.torch:
        captioner, start = Captioner(options.folder, options.threads), time.monotonic()
        text = captioner.caption(options.photo)
        print(json.dumps({"text": text, "seconds": time.monotonic() - start}))
        return
    from compare import watched

    if not (options.folder / "prompt.json").exists():
        if not options.model:
            parser.error("--model is needed the first time")
        prepare(options.folder, options.model, options.pair)
    photo = options.photo or str(options.folder / "photo.jpg")
    if not Path(photo).exists():
        if options.photo:
            parser.error(f"{photo} is not there")
        draw_photo(photo)
    threads = str(options.threads)
    commands = {
        "duet": [options.duet, "caption", photo, "--pair", str(options.pair / "pair.json"), "--threads", threads,
                 "--beams", "1"],
        "PyTorch": [sys.executable, __file__, "--torch", "--folder", str(options.folder), "--photo", photo,
                    "--threads", threads],
    }
    seconds, inner = {name: [] for name in commands}, []
    memory, said = {name: [] for name in commands}, {}
    for run in range(options.runs + 1):
        for name, command in commands.items():
            start = time.monotonic()
            output, peak = watched(command)
            if run > 0:  # the first fills the page cache
                seconds[name].append(time.monotonic() - start)
                memory[name].append(peak / 1e6)
            said[name] = output.strip()
            if name == "PyTorch":
                answer = json.loads(output)
                said[name] = answer["text"]
                inner += [answer["seconds"]] if run > 0 else []
    for name in commands:
        print(f"{name:8} {figures(seconds[name])} s, {figures(memory[name])} MB anonymous: {said[name]}")
    ratios = [a / b for a, b in zip(seconds["duet"], seconds["PyTorch"])]
    print(f"ratio    {figures(ratios)} of the time")
    print(f"PyTorch takes {figures(inner)} s of it once all is loaded; Duet's whole time is "
          f"{figures([a / b for a, b in zip(seconds['duet'], inner)])} of that")


if __name__ == "__main__":
    main()

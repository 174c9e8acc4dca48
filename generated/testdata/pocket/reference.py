"""What PyTorch gives for the model of specs/testdata/pocket.jsonnet.

    python3 reference.py                     computes the reference files anew
    python3 reference.py --take CHECKPOINT   first takes the weights out of a
                                             checkpoint that llamac train wrote

A plain LLaMA as the papers describe it: RMSNorm (Zhang and Sennrich 2019),
rotary embeddings of interleaved pairs as complex rotations (Su et al. 2021),
grouped queries (Ainslie et al. 2023), SwiGLU (Shazeer 2020), and AdamW with
clipping, linear warm-up and cosine (Touvron et al. 2023, section 2.3). The
gradients are autograd's, the optimiser is torch.optim's. Nothing here is
derived from llamac's code; all arithmetic is in float64, on the float32 weights.

Files, arrays as little-endian float32:

    weights.safetensors  the trained weights, under Meta's names
    text.txt             text that is not in the training data; tokens are bytes
    logits.f32           [T, vocab] of the first sequence
    grads.f32            gradients of the first micro-batch, in the order of
                         reference.json's "tensors"
    masked_grads.f32     the same of wq, wk and wv, each line a document and
                         attention only within one
    reference.json       losses, shapes, and ten optimiser steps

Micro-batch m has the sequences text[(m*B+b)*T : ...+T], b < B; the target of a
token is the byte behind it. Needs PyTorch 1.13 or later.
"""

import argparse
import json
import math
import os
import struct

import torch
from torch.nn.functional import cross_entropy, silu

HERE = os.path.dirname(os.path.abspath(__file__))

# The sizes of specs/testdata/pocket.jsonnet.
DIM, LAYERS, HEADS, KV_HEADS, FFN, VOCAB = 40, 2, 4, 2, 88, 256
NORM_EPS, THETA = 1e-5, 10000.0
B, T = 4, 64
HEAD = DIM // HEADS

# The ten steps.
STEPS, ACCUM = 10, 2
MAX_LR, MIN_LR, WARMUP = 2e-3, 2e-4, 3
BETAS, ADAM_EPS, WEIGHT_DECAY, CLIP = (0.9, 0.95), 1e-8, 0.1, 1.0


def shapes():
    """Weights by Meta's names, [out, in]."""
    s = {"tok_embeddings.weight": (VOCAB, DIM)}
    for l in range(LAYERS):
        p = f"layers.{l}."
        s[p + "attention_norm.weight"] = (DIM,)
        s[p + "attention.wq.weight"] = (HEADS * HEAD, DIM)
        s[p + "attention.wk.weight"] = (KV_HEADS * HEAD, DIM)
        s[p + "attention.wv.weight"] = (KV_HEADS * HEAD, DIM)
        s[p + "attention.wo.weight"] = (DIM, HEADS * HEAD)
        s[p + "ffn_norm.weight"] = (DIM,)
        s[p + "feed_forward.w1.weight"] = (FFN, DIM)
        s[p + "feed_forward.w3.weight"] = (FFN, DIM)
        s[p + "feed_forward.w2.weight"] = (DIM, FFN)
    s["norm.weight"] = (DIM,)
    s["output.weight"] = (VOCAB, DIM)
    return s


def read_safetensors(path):
    """Raw bytes of every tensor: a JSON header behind its length, then data."""
    with open(path, "rb") as f:
        (n,) = struct.unpack("<Q", f.read(8))
        header, data = json.loads(f.read(n)), f.read()
    header.pop("__metadata__", None)
    return {k: data[v["data_offsets"][0]:v["data_offsets"][1]] for k, v in header.items()}


def write_safetensors(path, tensors, shape):
    header, at = {}, 0
    for name, raw in tensors.items():
        header[name] = {"dtype": "F32", "shape": list(shape[name]), "data_offsets": [at, at + len(raw)]}
        at += len(raw)
    head = json.dumps(header, separators=(",", ":")).encode()
    head += b" " * (-len(head) % 8)
    with open(path, "wb") as f:
        f.write(struct.pack("<Q", len(head)) + head + b"".join(tensors.values()))


def load(path):
    raw, w = read_safetensors(path), {}
    for name, shape in shapes().items():
        flat = struct.unpack(f"<{math.prod(shape)}f", raw[name])
        w[name] = torch.tensor(flat, dtype=torch.float64).reshape(shape).requires_grad_()
    return w


def rms_norm(x, weight):
    return x / torch.sqrt((x * x).mean(-1, keepdim=True) + NORM_EPS) * weight


def rotate(x):
    """Turns the pair (2i, 2i+1) of x [B, T, heads, HEAD] at position t by t / THETA^(2i/HEAD)."""
    i = torch.arange(HEAD // 2, dtype=torch.float64)
    angle = torch.outer(torch.arange(x.shape[1], dtype=torch.float64), THETA ** (-2 * i / HEAD))
    turn = torch.polar(torch.ones_like(angle), angle)[None, :, None, :]
    pairs = torch.view_as_complex(x.reshape(*x.shape[:-1], HEAD // 2, 2))
    return torch.view_as_real(pairs * turn).reshape(x.shape)


def attention(w, p, x, document):
    b, t, _ = x.shape
    q = rotate((x @ w[p + "wq.weight"].T).reshape(b, t, HEADS, HEAD))
    k = rotate((x @ w[p + "wk.weight"].T).reshape(b, t, KV_HEADS, HEAD))
    v = (x @ w[p + "wv.weight"].T).reshape(b, t, KV_HEADS, HEAD)
    out = []
    for h in range(HEADS):  # query head h reads the keys and values of its group
        g = h // (HEADS // KV_HEADS)
        scores = q[:, :, h] @ k[:, :, g].transpose(1, 2) / math.sqrt(HEAD)
        later = torch.ones(t, t, dtype=torch.bool).triu(1)
        hidden = later | (document[:, :, None] != document[:, None, :])
        out.append(torch.softmax(scores.masked_fill(hidden, -math.inf), -1) @ v[:, :, g])
    return torch.cat(out, -1) @ w[p + "wo.weight"].T


def forward(w, tokens, document):
    """Logits [B, T, VOCAB] of tokens [B, T], each a part of a numbered document."""
    x = w["tok_embeddings.weight"][tokens]
    for l in range(LAYERS):
        p = f"layers.{l}."
        x = x + attention(w, p + "attention.", rms_norm(x, w[p + "attention_norm.weight"]), document)
        n = rms_norm(x, w[p + "ffn_norm.weight"])
        gate = silu(n @ w[p + "feed_forward.w1.weight"].T)
        x = x + (gate * (n @ w[p + "feed_forward.w3.weight"].T)) @ w[p + "feed_forward.w2.weight"].T
    return rms_norm(x, w["norm.weight"]) @ w["output.weight"].T


def batch(text, m):
    """Tokens and targets of micro-batch m."""
    at = m * B * T
    cut = lambda i: torch.tensor(list(text[i:i + B * T])).reshape(B, T)
    return cut(at), cut(at + 1)


def loss_of(w, text, m, masked=False):
    tokens, targets = batch(text, m)
    newline = (tokens == ord("\n")).long()
    document = newline.cumsum(1) - newline if masked else torch.zeros_like(tokens)
    logits = forward(w, tokens, document)
    return logits, cross_entropy(logits.reshape(-1, VOCAB), targets.reshape(-1))


def rate(step):
    """Learning rate of a step, counted from 1."""
    if step <= WARMUP:
        return MAX_LR * step / WARMUP
    share = (step - WARMUP) / (STEPS - WARMUP)
    return MIN_LR + (MAX_LR - MIN_LR) * (1 + math.cos(math.pi * share)) / 2


def train(w, text):
    """Ten steps of two micro-batches. Matrices decay, norms do not."""
    start = {k: x.detach().clone() for k, x in w.items()}
    groups = [
        {"params": [x for x in w.values() if x.ndim > 1], "weight_decay": WEIGHT_DECAY},
        {"params": [x for x in w.values() if x.ndim == 1], "weight_decay": 0.0},
    ]
    opt, steps = torch.optim.AdamW(groups, lr=MAX_LR, betas=BETAS, eps=ADAM_EPS), []
    for step in range(1, STEPS + 1):
        for g in opt.param_groups:
            g["lr"] = rate(step)
        opt.zero_grad()
        total = 0.0
        for a in range(ACCUM):
            _, loss = loss_of(w, text, (step - 1) * ACCUM + a)
            (loss / ACCUM).backward()
            total += loss.item() / ACCUM
        norm = torch.nn.utils.clip_grad_norm_(list(w.values()), CLIP)
        opt.step()
        steps.append({"lr": rate(step), "loss": total, "grad_norm": norm.item()})
    return steps, {k: (x.detach() - start[k]).norm().item() for k, x in w.items()}


def write_f32(name, tensors):
    with open(os.path.join(HERE, name), "wb") as f:
        for x in tensors:
            flat = x.detach().reshape(-1).tolist()
            f.write(struct.pack(f"<{len(flat)}f", *flat))


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--take", metavar="CHECKPOINT")
    take = args.parse_args().take
    path = os.path.join(HERE, "weights.safetensors")
    if take:
        raw, shape = read_safetensors(take), shapes()
        write_safetensors(path, {k: raw[k[:-len(".weight")]] for k in shape}, shape)
    with open(os.path.join(HERE, "text.txt"), "rb") as f:
        text = f.read()

    torch.set_num_threads(1)
    w = load(path)
    logits, loss = loss_of(w, text, 0)
    loss.backward()
    write_f32("logits.f32", [logits[0]])
    write_f32("grads.f32", [x.grad for x in w.values()])
    for x in w.values():
        x.grad = None
    _, masked = loss_of(w, text, 0, masked=True)
    masked.backward()
    write_f32("masked_grads.f32", [x.grad for k, x in w.items() if k.split(".")[-2] in ("wq", "wk", "wv")])
    steps, moved = train(w, text)
    ref = {
        "loss": loss.item(),
        "masked_loss": masked.item(),
        "tensors": [{"name": k, "shape": list(x.shape), "moved": moved[k]} for k, x in w.items()],
        "train": {
            "max_lr": MAX_LR, "min_lr": MIN_LR, "warmup": WARMUP, "accum": ACCUM, "beta1": BETAS[0], "beta2": BETAS[1],
            "eps": ADAM_EPS, "weight_decay": WEIGHT_DECAY, "clip": CLIP, "steps": steps,
        },
    }
    with open(os.path.join(HERE, "reference.json"), "w") as f:
        json.dump(ref, f, indent=1)
        f.write("\n")


if __name__ == "__main__":
    main()

"""The model of m15.jsonnet in PyTorch, compiled at five activation_memory_budgets.

    python internal/budgets/pytorch.py ROUNDS

prints for each budget the bytes that autograd keeps from forward to backward,
the peak of resident memory in forward and backward above what was there before
(medians of 3), and medians of ROUNDS steps of one thread in seconds, of the wall's
clock and the processor's; the budgets take turns.
"""
import ctypes
import gc
import statistics
import sys
import time
import types

import torch, torch.nn as nn, torch.nn.functional as F
import torch._functorch.config as fc

torch.set_num_threads(1)
torch.manual_seed(0)
D, L, H, FF, V, T, B = 384, 8, 6, 1024, 256, 256, 8

class RMS(nn.Module):
    def __init__(s, d): super().__init__(); s.w = nn.Parameter(torch.ones(d))
    def forward(s, x): return x * torch.rsqrt(x.pow(2).mean(-1, keepdim=True) + 1e-5) * s.w

def rope(x, c, s):
    a, b = x.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack((a * c - b * s, a * s + b * c), -1).flatten(-2)

class Block(nn.Module):
    def __init__(s):
        super().__init__()
        lin = lambda i, o: nn.Linear(i, o, bias=False)
        s.n1, s.n2 = RMS(D), RMS(D)
        s.q, s.k, s.v, s.o = lin(D, D), lin(D, D), lin(D, D), lin(D, D)
        s.g, s.u, s.d = lin(D, FF), lin(D, FF), lin(FF, D)
    def forward(s, x, c, sn):
        n = s.n1(x)
        q, k, v = (w(n).view(B, T, H, D // H).transpose(1, 2) for w in (s.q, s.k, s.v))
        a = F.scaled_dot_product_attention(rope(q, c, sn), rope(k, c, sn), v, is_causal=True)
        r = x + s.o(a.transpose(1, 2).reshape(B, T, D))
        n = s.n2(r)
        return r + s.d(F.silu(s.g(n)) * s.u(n))

class Model(nn.Module):
    def __init__(s):
        super().__init__()
        s.e, s.n, s.h = nn.Embedding(V, D), RMS(D), nn.Linear(D, V, bias=False)
        s.b = nn.ModuleList(Block() for _ in range(L))
        f = torch.outer(torch.arange(T), 10000 ** (-torch.arange(0, D // H, 2) / (D // H)))
        s.register_buffer("c", f.cos()); s.register_buffer("s", f.sin())
    def forward(s, x, y):
        x = s.e(x)
        for b in s.b: x = b(x, s.c, s.s)
        return F.cross_entropy(s.h(s.n(x)).view(-1, V), y.view(-1))

def run(budget):
    fc.activation_memory_budget = budget
    torch._dynamo.config.cache_size_limit = 64
    m = Model()  # a code object of its own, or all budgets would share what the first compiled
    m.forward = types.MethodType(types.FunctionType(Model.forward.__code__.replace(co_name=f"f{int(100 * budget)}"), globals()), m)
    step = torch.compile(m)
    x, y = torch.randint(V, (B, T)), torch.randint(V, (B, T))
    saved = 0
    def pack(t):
        nonlocal saved
        saved += t.numel() * t.element_size() if t.data_ptr() not in own else 0
        return t
    own = {p.data_ptr() for p in m.parameters()}
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        step(x, y).backward()
    saved = 0
    with torch.autograd.graph.saved_tensors_hooks(pack, lambda t: t):
        step(x, y).backward()
    def rss(key):
        return [int(l.split()[1]) * 1024 for l in open("/proc/self/status") if l.startswith(key)][0]
    def peak():  # of resident memory in a step, above what is there before it
        m.zero_grad(set_to_none=False)
        gc.collect()
        ctypes.CDLL("libc.so.6").malloc_trim(0)
        open("/proc/self/clear_refs", "w").write("5")
        before = rss("VmRSS")
        step(x, y).backward()
        return rss("VmHWM") - before
    def once():
        m.zero_grad(set_to_none=False)
        w, c = time.perf_counter(), time.process_time()
        step(x, y).backward()
        return time.perf_counter() - w, time.process_time() - c
    peaks = sorted(peak() for _ in range(3))
    return (saved, peaks[1]), once

if __name__ == "__main__":
    budgets = [0.0, 0.25, 0.5, 0.75, 1.0]
    runs = [(b, *run(b)) for b in budgets]
    for _, _, once in runs:
        once()
    times = {b: [] for b in budgets}
    for _ in range(int(sys.argv[1])):
        for b, _, once in runs:
            times[b].append(once())
    print("budget  kept bytes  peak bytes  wall s  processor s")
    for b, (kept, peak), _ in runs:
        wall, own = (statistics.median(t) for t in zip(*times[b]))
        print(f"{b:6.2f}  {kept:10d}  {peak:10d}  {wall:6.3f}  {own:11.3f}")

// Attention and feed-forward network side by side, as in GPT-J and PaLM
// (Chowdhery et al. 2022): out = x + attention(n) + ffn(n), n = norm(x).
local node = import 'llamac/node.libsonnet';
local twin = import 'llamac/twin.libsonnet';

twin {
  name: 'parallel',
  doc: 'A tiny model whose attention and feed-forward network run side by side.',
  model+: {
    local m = self,
    block: [
      node.rms_norm('n', 'x', 'norm1', m.norm_eps),
      node.linear('attn.q', 'n', 'attention.wq', m.dim),
      node.linear('attn.k', 'n', 'attention.wk', m.dim),
      node.linear('attn.v', 'n', 'attention.wv', m.dim),
      node.split_heads('attn.qh', 'attn.q', m.n_heads),
      node.split_heads('attn.kh', 'attn.k', m.n_heads),
      node.split_heads('attn.vh', 'attn.v', m.n_heads),
      node.rope('attn.qr', 'attn.qh'),
      node.rope('attn.kr', 'attn.kh'),
      node.matmul_nt('attn.s', 'attn.qr', 'attn.kr'),
      node.scale('attn.scaled', 'attn.s', 1 / std.sqrt(m.dim / m.n_heads)),
      node.causal_mask('attn.masked', 'attn.scaled'),
      node.softmax('attn.p', 'attn.masked'),
      node.matmul('attn.oh', 'attn.p', 'attn.vh'),
      node.merge_heads('attn.o', 'attn.oh'),
      node.linear('attn.out', 'attn.o', 'attention.wo', m.dim),
      node.linear('ffn.g', 'n', 'feed_forward.w1', m.ffn_dim),
      node.linear('ffn.u', 'n', 'feed_forward.w3', m.ffn_dim),
      node.silu('ffn.a', 'ffn.g'),
      node.mul('ffn.m', 'ffn.a', 'ffn.u'),
      node.linear('ffn.out', 'ffn.m', 'feed_forward.w2', m.dim),
      node.add('both', 'attn.out', 'ffn.out'),
      node.add('out', 'x', 'both'),
    ],
  },
}

// An extra RMSNorm on each head of q and k before the rotation, as in Qwen3.
local node = import 'llamac/node.libsonnet';
local twin = import 'llamac/twin.libsonnet';

twin {
  name: 'qknorm',
  doc: 'A tiny model that normalises queries and keys.',
  model+: {
    local m = self,
    block: [
      node.rms_norm('attn.n', 'x', 'attention_norm', m.norm_eps),
      node.linear('attn.q', 'attn.n', 'attention.wq', m.dim),
      node.linear('attn.k', 'attn.n', 'attention.wk', m.dim),
      node.linear('attn.v', 'attn.n', 'attention.wv', m.dim),
      node.split_heads('attn.qh', 'attn.q', m.n_heads),
      node.split_heads('attn.kh', 'attn.k', m.n_heads),
      node.split_heads('attn.vh', 'attn.v', m.n_heads),
      node.rms_norm('attn.qn', 'attn.qh', 'attention.q_norm', m.norm_eps),
      node.rms_norm('attn.kn', 'attn.kh', 'attention.k_norm', m.norm_eps),
      node.rope('attn.qr', 'attn.qn'),
      node.rope('attn.kr', 'attn.kn'),
      node.matmul_nt('attn.s', 'attn.qr', 'attn.kr'),
      node.scale('attn.scaled', 'attn.s', 1 / std.sqrt(m.dim / m.n_heads)),
      node.causal_mask('attn.masked', 'attn.scaled'),
      node.softmax('attn.p', 'attn.masked'),
      node.matmul('attn.oh', 'attn.p', 'attn.vh'),
      node.merge_heads('attn.o', 'attn.oh'),
      node.linear('attn.out', 'attn.o', 'attention.wo', m.dim),
      node.add('r', 'x', 'attn.out'),
      node.rms_norm('ffn.n', 'r', 'ffn_norm', m.norm_eps),
      node.linear('ffn.g', 'ffn.n', 'feed_forward.w1', m.ffn_dim),
      node.linear('ffn.u', 'ffn.n', 'feed_forward.w3', m.ffn_dim),
      node.silu('ffn.a', 'ffn.g'),
      node.mul('ffn.m', 'ffn.a', 'ffn.u'),
      node.linear('ffn.out', 'ffn.m', 'feed_forward.w2', m.dim),
      node.add('out', 'r', 'ffn.out'),
    ],
  },
}

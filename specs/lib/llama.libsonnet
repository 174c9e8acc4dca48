// The LLaMA architecture (Touvron et al. 2023), and defaults for everything
// that a spec may leave open. A spec is this object with its own fields added:
//
//   local llama = import 'llamac/llama.libsonnet';
//   llama { name: 'mine', model+: { dim: 256, n_layers: 4, ... }, ... }
//
// It must give name, model.{dim,n_layers,n_heads,ffn_dim,vocab,context},
// train.{micro_batch,steps}, optim.lr, data.sources and tokenizer.kind.
// LLaMA 2 and 3, Mistral, SmolLM, TinyLlama and Qwen2 differ only in fields of
// `model`; another architecture replaces model.block.
local names = import 'names.libsonnet';
local node = import 'node.libsonnet';

{
  local spec = self,
  doc: '',

  model: {
    local m = self,

    n_kv_heads: m.n_heads,  // fewer are grouped-query attention (Ainslie et al. 2023)
    // head_dim may be given; it is dim / n_heads otherwise.
    norm_eps: 1e-5,
    init_std: 0.02,
    residual_std:: m.init_std,  // of wo and w2, which write to the residual stream
    rope: {
      theta: 10000,
      layout: 'interleaved',  // Meta's pairs 2i, 2i+1; Hugging Face has 'half': i, i + d/2
      scaling: { kind: 'none' },
    },
    tie: false,  // the output projection is the embedding's weight
    qkv_bias: false,  // Qwen2

    local head_dim = if 'head_dim' in m then m.head_dim else m.dim / m.n_heads,
    local grouped = m.n_kv_heads != m.n_heads,
    local project(name, weight, heads, bias) = node.linear(
      name, 'attn.n', weight, heads * head_dim, bias=if m.qkv_bias then bias, shard='column'
    ),

    // One layer: r = x + attention(norm(x)), out = r + ffn(norm(r)).
    block: [
      node.rms_norm('attn.n', 'x', 'attention_norm', m.norm_eps),
      project('attn.q', 'attention.wq', m.n_heads, 'attention.bq'),
      project('attn.k', 'attention.wk', m.n_kv_heads, 'attention.bk'),
      project('attn.v', 'attention.wv', m.n_kv_heads, 'attention.bv'),
      node.split_heads('attn.qh', 'attn.q', m.n_heads),
      node.split_heads('attn.kh', 'attn.k', m.n_kv_heads),
      node.split_heads('attn.vh', 'attn.v', m.n_kv_heads),
      node.rope('attn.qr', 'attn.qh'),
      node.rope('attn.kr', 'attn.kh'),
    ] + (
      if grouped then [
        node.repeat_kv('attn.kx', 'attn.kr', m.n_heads / m.n_kv_heads),
        node.repeat_kv('attn.vx', 'attn.vh', m.n_heads / m.n_kv_heads),
      ] else []
    ) + [
      node.matmul_nt('attn.s', 'attn.qr', if grouped then 'attn.kx' else 'attn.kr'),
      node.scale('attn.scaled', 'attn.s', 1 / std.sqrt(head_dim)),
      node.causal_mask('attn.masked', 'attn.scaled'),
      node.softmax('attn.p', 'attn.masked'),
      node.matmul('attn.oh', 'attn.p', if grouped then 'attn.vx' else 'attn.vh'),
      node.merge_heads('attn.o', 'attn.oh'),
      node.linear('attn.out', 'attn.o', 'attention.wo', m.dim, std=m.residual_std, shard='row'),
      node.add('r', 'x', 'attn.out'),

      node.rms_norm('ffn.n', 'r', 'ffn_norm', m.norm_eps),
      node.linear('ffn.g', 'ffn.n', 'feed_forward.w1', m.ffn_dim, shard='column'),
      node.linear('ffn.u', 'ffn.n', 'feed_forward.w3', m.ffn_dim, shard='column'),
      node.silu('ffn.a', 'ffn.g'),
      node.mul('ffn.m', 'ffn.a', 'ffn.u'),
      node.linear('ffn.out', 'ffn.m', 'feed_forward.w2', m.dim, std=m.residual_std, shard='row'),
      node.add('out', 'r', 'ffn.out'),
    ],

    network: [
      node.embedding('h', 'tok_embeddings', m.dim),
      node.repeat('layers', 'h', m.n_layers, m.block),
      node.rms_norm('n', 'layers', 'norm', m.norm_eps),
      node.linear('logits', 'n', if m.tie then 'tok_embeddings' else 'output', m.vocab, shard='column'),
    ],
  },

  train: {
    accum: 1,
    seed: 1,
    save_every: 1000,
    // Of checkpoints: the newest ones, those of every so many steps (0 for none),
    // and that of the lowest validation loss.
    keep: { last: 2, every: 0, best: true },
    eval: { every: 250, batches: 8 },
    sample: { every: 1000, count: 1, tokens: 128, prompt: '', temperature: 0.8, top_p: 0.95 },
  },

  // Section 2.3 of the paper, save eps, which it does not state: AdamW's usual
  // one. The peak learning rate lr differs from size to size.
  optim: { beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1, clip: 1.0 },
  schedule: { warmup: 2000, min_ratio: 0.1, decay: 0 },

  // 'cross' packs documents into sequences and lets attention cross from one
  // to the next; 'mask' stops it there. The paper does not say which.
  data: { validation: 0.005, dedup: false, boundary: 'cross', tokens: 0 },
  // With specials: true a control token that a document spells out, such as
  // <|endoftext|>, becomes that token; otherwise it stays text.
  tokenizer: { vocab: spec.model.vocab, bos: true, eos: false },

  // What the paper's section 2.4 keeps: the outputs of linear layers. 'auto' keeps
  // what costs least to leave out in a budget: bytes, or '24GiB'.
  checkpoint: { policy: 'keep-linear', budget: 0 },
  precision: { compute: 'f32', master: 'f32' },
  parallel: { tp: 1, sp: false, dp: 1, zero: 0 },
  names: names,
}

// TinyLlama-1.1B (Zhang et al. 2024): LLaMA 2's vocabulary and block, grouped
// queries, in Hugging Face's layout. The sizes are those of its config.json;
// learning rate, warm-up and batch are its paper's, the rest is chosen.
local llama = import 'llamac/llama.libsonnet';

llama {
  name: 'tinyllama_1b',
  doc: 'TinyLlama-1.1B, a LLaMA with grouped-query attention.',
  model+: {
    dim: 2048,
    n_layers: 22,
    n_heads: 32,
    n_kv_heads: 4,
    ffn_dim: 5632,
    vocab: 32000,
    context: 2048,
    norm_eps: 1e-5,
    rope+: { theta: 10000, layout: 'half' },
    // As for the other small specs, by the number of additions to the residual
    // stream; it matters only for a start from nothing.
    residual_std:: self.init_std / std.sqrt(2 * self.n_layers),
  },
  train+: { micro_batch: 1, accum: 1024, steps: 100000 },  // 2M tokens a step
  optim+: { lr: 4e-4 },
  schedule+: { warmup: 2000 },
  data+: {
    sources: [{ name: 'text', share: 1, kind: 'jsonl', paths: ['data/**/*.jsonl.zst'], field: 'text' }],
  },
  tokenizer+: { kind: 'file', path: 'tokenizer.model' },
}

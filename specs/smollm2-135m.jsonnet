// SmolLM2-135M (Hugging Face): the sizes of SmolLM-135M, RoPE with ten times the
// base and four times the context. The sizes are those of its config.json; the
// recipe here is for training it further and is chosen.
local llama = import 'llamac/llama.libsonnet';

llama {
  name: 'smollm2_135m',
  doc: 'SmolLM2-135M, a deep and thin LLaMA with grouped-query attention and a context of 8192.',
  model+: {
    dim: 576,
    n_layers: 30,
    n_heads: 9,
    n_kv_heads: 3,
    ffn_dim: 1536,
    vocab: 49152,
    context: 8192,
    norm_eps: 1e-5,
    rope+: { theta: 100000, layout: 'half' },
    tie: true,
    init_std: 1 / std.sqrt(self.dim),
    // As for the other small specs, by the number of additions to the residual
    // stream; it matters only for a start from nothing.
    residual_std:: self.init_std / std.sqrt(2 * self.n_layers),
  },
  train+: { micro_batch: 1, accum: 16, steps: 10000 },
  optim+: { lr: 3e-4 },
  schedule+: { warmup: 500 },
  data+: {
    sources: [{ name: 'text', share: 1, kind: 'jsonl', paths: ['data/**/*.jsonl.gz'], field: 'text' }],
  },
  tokenizer+: { kind: 'file', path: 'tokenizer.json', bos: false, eos: true },
}

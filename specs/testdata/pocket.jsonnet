// A model of 51 thousand parameters, small enough that its trained weights lie
// in the project, beside what PyTorch gives for them: generated/testdata/pocket.
// Its widths are no multiples of any kernel's tile; keys and values have half
// the heads.
local llama = import 'llamac/llama.libsonnet';

llama {
  name: 'pocket',
  doc: 'A LLaMA of 51 thousand parameters for tests with trained weights.',
  model+: {
    dim: 40,
    n_layers: 2,
    n_heads: 4,
    n_kv_heads: 2,
    ffn_dim: 88,
    vocab: 256,
    context: 64,
    init_std: 0.06,
    residual_std:: self.init_std / std.sqrt(2 * self.n_layers),
  },
  train+: {
    micro_batch: 4,
    accum: 2,
    steps: 16000,
    save_every: 4000,
    eval: { every: 4000, batches: 32 },
    sample: { every: 4000, count: 1, tokens: 63, prompt: 'f', temperature: 0.7, top_p: 0.95 },
  },
  optim+: { lr: 4e-3 },
  schedule+: { warmup: 200 },
  data+: {
    sources: [{ name: 'go_source', share: 1, kind: 'go_source', paths: ['$GOROOT/src'] }],
    validation: 0.01,
    dedup: true,
  },
  tokenizer+: { kind: 'byte', bos: false },
}

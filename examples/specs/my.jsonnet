// A LLaMA small enough to learn one page by heart in seconds.
local llama = import 'llamac/llama.libsonnet';

llama {
  name: 'mymodel',
  doc: 'A small LLaMA for a program of your own.',
  model+: { dim: 64, n_layers: 2, n_heads: 4, ffn_dim: 192, vocab: 256, context: 128 },
  train+: { micro_batch: 16, steps: 200 },
  optim+: { lr: 5e-3 },
  schedule+: { warmup: 20 },
  data+: { sources: [{ name: 'own', share: 1, kind: 'files', paths: ['*.go'] }] },
  tokenizer+: { kind: 'byte', bos: false },
}

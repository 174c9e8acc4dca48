// 14.4 million parameters whose activations outweigh them: for measurements of
// recomputation (go run ./internal/budgets).
local llama = import 'llamac/llama.libsonnet';

llama {
  name: 'm15',
  model+: { dim: 384, n_layers: 8, n_heads: 6, n_kv_heads: 6, ffn_dim: 1024, vocab: 256, context: 256 },
  train+: { micro_batch: 8, accum: 1, steps: 4, eval: { every: 1000, batches: 1 }, sample+: { every: 100000 } },
  optim+: { lr: 1e-3 },
  schedule+: { warmup: 1 },
  data+: { sources: [{ name: 'text', share: 1, kind: 'files', paths: ['*.txt'] }] },
  tokenizer+: { kind: 'byte', bos: false },
}

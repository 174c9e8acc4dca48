// A model small enough for tests to differentiate numerically, with sizes that
// are no multiples of any kernel's tile. It is fed token ids, so it has neither
// data nor tokenizer.
local llama = import 'llama.libsonnet';

llama {
  model+: {
    dim: 32,
    n_layers: 2,
    n_heads: 4,
    ffn_dim: 48,
    vocab: 61,
    context: 24,
    // So large that every gradient of a twin is well above rounding.
    init_std: 0.2,
  },
  train+: { micro_batch: 3, accum: 2, steps: 20, eval: { every: 10, batches: 1 } },
  optim+: { lr: 1e-3 },
  schedule+: { warmup: 5 },
  data+: { sources: [] },
  tokenizer+: { kind: 'none', bos: false },
}

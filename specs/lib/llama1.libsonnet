// What the four models of the paper share (arXiv 2302.13971): recipe, mixture
// and tokenizer. A size adds its name, its sizes, the peak learning rate and
// data.tokens. What the paper does not state is marked "chosen".
local llama = import 'llamac/llama.libsonnet';
local mixture = import 'llamac/mixtures/llama.libsonnet';

llama {
  local spec = self,
  local batch = 4194304,  // "4M tokens": 2048 sequences of 2048

  model+: {
    vocab: 32000,  // of the tokenizer; not in the paper
    context: 2048,  // of Meta's code; not in the paper
    norm_eps: 1e-6,  // of the published params.json; 65B has 1e-5
    init_std: 0.02,  // chosen
  },
  train+: {
    micro_batch: 1,  // chosen: the activations of one sequence at a time
    accum: batch / (self.micro_batch * spec.parallel.dp * spec.model.context),
    steps: std.round(spec.data.tokens / batch),
    seed: 1,  // chosen
    save_every: 1000,  // chosen
    eval: { every: 1000, batches: 64 },  // chosen
    sample: { every: 1000, count: 2, tokens: 256, prompt: '', temperature: 0.8, top_p: 0.95 },  // chosen
  },
  // Section 2.3; eps and the linear shape of the warm-up are chosen.
  optim+: { beta1: 0.9, beta2: 0.95, eps: 1e-8, weight_decay: 0.1, clip: 1.0 },
  schedule+: { warmup: 2000, min_ratio: 0.1 },
  data+: {
    sources: mixture.sources(spec.data.tokens),  // Table 1
    validation: 0.0005,  // chosen
    boundary: 'cross',  // chosen
  },
  // SentencePiece BPE with digits split and bytes as a last resort (section
  // 2.1). BOS before each document is chosen, as Meta's wrapper puts it before
  // a prompt.
  tokenizer+: { kind: 'file', path: 'tokenizer.model', bos: true, eos: false },
  // Section 2.4. Dtypes and degrees of parallelism are chosen: one process in
  // f32, where the paper had 2048 GPUs; the compiler has no other yet.
  checkpoint+: { policy: 'keep-linear' },
}

// The twin with grouped queries, for generated tests.
local twin = import 'llamac/twin.libsonnet';

twin {
  name: 'tiny_gqa',
  doc: 'A tiny LLaMA with grouped-query attention for tests.',
  model+: { n_kv_heads: 2 },
}

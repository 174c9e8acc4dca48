// The twin of the big sizes for generated tests: as many key as query heads.
local twin = import 'llamac/twin.libsonnet';

twin {
  name: 'tiny_mha',
  doc: 'A tiny LLaMA for tests.',
}

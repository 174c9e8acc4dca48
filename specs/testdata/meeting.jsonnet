// Two projections of one input whose gradients each meet another path: a case
// for the planner, which may put them side by side in one buffer only if every
// kernel that writes them can.
local node = import 'llamac/node.libsonnet';
local twin = import 'llamac/twin.libsonnet';

twin {
  name: 'meeting',
  doc: 'A tiny model whose gradients meet in odd places.',
  model+: {
    local m = self,
    block: [
      node.rms_norm('n', 'x', 'norm1', m.norm_eps),
      node.linear('a', 'n', 'wa', m.dim),
      node.linear('c', 'n', 'wc', m.dim),
      node.linear('t', 'a', 'wt', m.dim),
      node.linear('u', 'c', 'wu', m.dim),
      node.add('tu', 't', 'u'),
      node.add('s', 'a', 'x'),
      node.tanh('h', 's'),
      node.add('out', 'h', 'tu'),
    ],
  },
}

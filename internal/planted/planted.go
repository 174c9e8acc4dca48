// Package planted lists bugs that the tests must catch. Each is a change of
// one place in the source; the slow test plants it and runs the tests named
// with it, which must fail. A test that nothing can make fail asserts nothing.
//
// Most are caught by the fuzzer in a few hundred cases, whatever part of the
// compiler they are in: it is named first where it is.
package planted

// Bug is a change of the source and what catches it.
type Bug struct {
	Name     string
	File     string // from the module's root
	Old, New string // Old occurs once in the file
	Test     Test
}

// Test is a run of go test that fails with the bug.
type Test struct {
	Package, Run string
	Args         []string
}

// graphs and specs are short runs of the fuzzer, of n cases from the first seed
// on: about three times as many as it took when the bug was listed. Failing
// cases are not made smaller, which takes longer than to find them.
func graphs(n string) Test { return fuzz("graph", n) }
func specs(n string) Test  { return fuzz("spec", n) }

func fuzz(kind, n string) Test {
	return Test{"./internal/fuzz", "^TestRandom$/^" + kind + "$", []string{"-cases=" + n, "-tries=-1", "-reproducers=" + Discard}}
}

// Discard stands for a folder that goes away with the test: cases that fail
// because of a planted bug are nobody's business.
const Discard = "DISCARD"

// Bugs are all of them, by the stage that they are in. To add one, plant it by
// hand, see which test fails, and write down the shortest.
var Bugs = []Bug{
	// Fusions that take too much, or get a parameter wrong. The graph computes
	// something else then: the interpreter sees it behind the pass.
	{"a scale on the scores is lost", "passes/fuse_attention.go",
		`s.scale, s.scaled = s.scale*c, true`, `s.scaled = true`, specs("100")},
	{"a window is one key short", "passes/fuse_attention.go",
		`return to + 1, seen.start, true`, `return max(1, to), seen.start, true`, specs("150")},
	{"a mask that shows all keys counts as causal", "passes/fuse_attention.go",
		`if !ok || from != 0 {`, `if !ok || from > 0 {`, Test{"./passes", "", []string{"-rapid.nofailfile"}}},
	// Nobody writes such masks, and a fusion that takes what it should not is no
	// better for it.
	{"starts of two inputs count as one", "passes/match_starts.go",
		`w.src == x.src && slices.Equal(w.off, x.off)`, `slices.Equal(w.off, x.off)`, Test{"./passes", "TestSteps", []string{"-rapid.nofailfile"}}},
	{"a start that is added counts as one that is taken off", "passes/match_mask.go",
		`ok = diff.times == -sign`, `ok = diff.times != 0`, Test{"./passes", "TestTxtar", nil}},
	{"rotation in the wrong direction", "passes/fuse_rope.go",
		`inverse: y1[0].sign < 0,`, `inverse: y1[0].sign > 0,`, specs("150")},
	{"half pairs taken for interleaved ones", "passes/fuse_rope.go",
		`	if r.half {
		layout = "half"`, `	if r.half && r.inverse {
		layout = "half"`, specs("150")},
	{"SwiGLU of a gate that is not SiLU", "passes/fuse_swiglu.go",
		`if n := def(p.num[1-i], "sigmoid"); n != nil && n.Operands[0] == x {`, `if n := def(p.num[1-i], "sigmoid"); n != nil {`, graphs("1500")},
	{"a norm takes the root for the mean square", "passes/fuse_rmsnorm.go",
		`if m := normOf(y, p.num, p.den[0], "sqrt", 0.5); m != nil {`, `if m := normOf(y, p.num, p.den[0], "rsqrt", -0.5); m != nil {`, Test{"./passes", "", []string{"-rapid.nofailfile"}}},
	{"a sum that others read is joined with a norm of something else", "passes/fuse_add_rmsnorm.go",
		`adopt(norm.Result(), k.Results[1])`, `adopt(norm.Result(), k.Results[0])`, graphs("200")},
	{"weights packed in the order of another weight", "passes/fuse_qkv.go",
		`adopt(member.Result(), k.Results[i])`, `adopt(member.Result(), k.Results[len(pack)-1-i])`, graphs("200")},
	{"slices of slices count from the wrong start", "passes/canonicalize_rules.go",
		`n.Int("from")*s.Int("step"))`, `n.Int("from"))`, graphs("2000")},

	// The backward. A wrong rule is in the fuzzer's reference too, which takes
	// the same rules: central differences are the judge there. A policy that
	// stores the wrong things shows in numbers only where it stores too little.
	{"the rule of sub has the wrong sign", "ir/ops_elementwise.go",
		`g.addBroadcast(b, g.Op("neg", gradName(b), nil, d))`, `g.addBroadcast(b, d)`, Test{"./ir", "Rules", nil}},
	{"a value is made again from others than it was made from", "passes/checkpoint.go",
		`operands[i] = available(o)`, `operands[len(operands)-1-i] = available(o)`, graphs("200")},
	{"keep-linear stores what is made of constants", "passes/checkpoint.go",
		`if !stopsRecompute(u) || !needed[u] || direct[u] || keep[u] {`, `if !n.Op.Expensive || !needed[u] || direct[u] || keep[u] {`,
		Test{"./internal/fuzz", "TestReproducers", nil}},
	{"keep-linear forgets a value that the backward reads", "passes/checkpoint.go",
		`return v.Def == nil || v.Def.Op.Expensive && !fromConstants(v)`, `return v.Def == nil`, Test{"./internal/compile", "TestActivations", nil}},

	// The planner. The graph is right, and package exec reads memory that holds
	// something else: NaN, since the fuzzer poisons what is dead. Some of these
	// do not come to that, because the plan's verifier sees them.
	{"a result overwrites what is read later", "passes/storage.go",
		`if s.readAfter(c, t, s.tl.ownerOf[r]) {`, `if s.readAfter(c, t+1, s.tl.ownerOf[r]) {`, graphs("300")},
	{"layers take over memory that is read behind them", "passes/storage.go",
		`return c.region == anywhere && s.lastRead(c) <= t && v.Def != nil`, `return c.region == anywhere && v.Def != nil`, graphs("300")},
	{"buffers share memory one launch too early", "passes/arrange.go",
		`if d.life.Meets(s.life) {`, `if d.life.First < s.life.Last && s.life.First < d.life.Last {`, graphs("50")},
	{"what every layer reads dies inside of the loop", "passes/schedule.go",
		`	s.out, s.loop = outer, nil
	s.touchLoop(l)`, `	s.out, s.loop = outer, nil`, graphs("300")},
	{"the value carried from layer to layer is not copied", "passes/schedule.go",
		`		s.emit(&plan.Copy{Dst: dst, Src: s.operand(out, plan.Read)})`, `		_ = dst`, graphs("300")},
	{"columns of a pack start at the wrong one", "passes/schedule.go",
		`for _, w := range p.widths[:c.index] {`, `for _, w := range p.widths[1 : 1+c.index] {`, graphs("400")},
	{"products read the rows of a pack as if they followed each other", "passes/packs.go",
		`"linear_pack": {0}, "rms_norm": {0}, "rms_norm_grad": {1},`, `"linear_pack": {0}, "rms_norm": {0}, "rms_norm_grad": {1}, "mul": {0, 1}, "add": {0, 1},`, graphs("400")},
	{"blocks of layers lie too close", "passes/memory.go",
		`		b.Stride = block
`, `		b.Stride = block - plan.Align
`, graphs("50")},
	{"gradients are added to what is not there", "passes/lower.go",
		`if s.written[s.gradient(w)] {`, `if !s.written[s.gradient(w)] {`, graphs("50")},
	{"weight decay on what does not decay", "plan/plan.go",
		`rs = append(rs, Range{w.At(l), w.At(l) + w.Elems(), w.Decay})`, `rs = append(rs, Range{w.At(l), w.At(l) + w.Elems(), true})`, graphs("200")},
	// The verifier asks the same function, and does not see it.
	{"scratch lies on a layer's input that is read still", "plan/lives.go",
		`floor = max(floor, l.Taken[t])`, `floor = max(floor, l.Base[t])`, graphs("50")},

	// The policy auto. What it counts on is compared with what the planner
	// places: in the fuzzer, and in the tests of all choices of a few models.
	{"auto counts on nothing above all blocks", "passes/auto_menu.go",
		`	m.head, m.least = first.head, max(others, first.least)
`, `	m.head, m.least = 0*first.head, max(others, first.least)
`, graphs("300")},
	{"auto leaves out what another choice betters in size alone", "passes/auto_menu.go",
		`return q.size <= p.size && q.size+q.above <= p.size+p.above`, `return q.size <= p.size`, Test{"./passes", "TestBudgetOneLayer", nil}},
	{"auto orders layers by what they need above, smallest first", "passes/auto_menu.go",
		`return cmp.Compare(b.above, a.above)`, `return cmp.Compare(a.above, b.above)`, Test{"./passes", "TestBudgetSeveralLayers", nil}},
	// Only beside layers that store something else does it matter, at few budgets.
	{"what layers read from outside goes where layers of one choice do not read it", "passes/place_tight.go",
		`len(loops) > 0 && s.life.First < loops[0].First`, `len(loops) > 9 && s.life.First < loops[0].First`, Test{"./internal/fuzz", "TestReproducers", nil}},
	{"a cast to the narrow type is left out", "passes/precision.go",
		`if narrow && v != nil && v.Type.DType == ir.F32 && !statistic {`, `if statistic && narrow && v == nil {`, graphs("100")},

	// Kernels. The models of the fuzzer are small: what goes wrong behind the
	// first tile only is for the kernels' own tests.
	{"query heads read the wrong key head", "runtime/cpu/attention.go",
		`kv := h / t.group * t.hd`, `kv := h % t.kvHeads * t.hd`, specs("150")},
	{"the backward skips the last block of keys", "runtime/cpu/attention_grad.go",
		`			for ki := first; ki < end; ki++ {
				t.tile(&g, b, h, qi, ki)`, `			for ki := first; ki < max(1, end-1); ki++ {
				t.tile(&g, b, h, qi, ki)`, Test{"./runtime/cpu", "Attention", nil}},
	{"a window skips a block of keys", "runtime/cpu/attention.go",
		`first = max(0, qi*tileQ-t.window+1) / tileK`, `first = max(0, qi*tileQ-t.window+1+tileK) / tileK`, Test{"./runtime/cpu", "Attention", nil}},
	{"logsumexp without its maximum", "runtime/cpu/attention_query.go",
		`lse[i] = float32(float64(g.m[i])*ln2 + logOf(sum))`, `lse[i] = float32(logOf(sum))`, specs("100")},
	{"AdamW corrects the bias of the wrong step", "runtime/cpu/adamw.go",
		`rate: float32(h.LR / (1 - math.Pow(h.Beta1, float64(h.Step)))),`, `rate: float32(h.LR / (1 - math.Pow(h.Beta1, float64(h.Step+1)))),`, graphs("100")},
	{"RMSNorm without its epsilon", "runtime/cpu/rmsnorm.go",
		`float64(len(x))+float64(eps)))`, `float64(len(x))+0*float64(eps)))`, specs("150")},
	{"cross-entropy counts targets that are left out", "runtime/cpu/xent.go",
		`		if id >= 0 {
			t.count++`, `		if id >= -1 {
			t.count++`, graphs("100")},
	{"the cache finds the first block of a sequence only", "runtime/cpu/kv.go",
		`id := int(c.table[seq*c.maxBlocks+b])`, `id := int(c.table[seq*c.maxBlocks])`, specs("100")},
	{"a fork writes to the block that it shares", "runtime/kv/kv.go",
		`return n%c.block != 0 && c.refs[`, `return n%c.block == 0 && c.refs[`, specs("150")},

	// Few inputs show it: most cases that do are right with other tokens, and the
	// fuzzer must not take that for rounding.
	{"one key of one document is hidden from its own query", "runtime/cpu/attention_starts.go",
		`	for j := range min(nk, last-k0) {
		row := s[j*tileQ:][:len(starts)]
		for i, from := range starts {
			if k0+j < int(from) {`, `	for j := range min(nk, last-k0+2) {
		row := s[j*tileQ:][:len(starts)]
		for i, from := range starts {
			if k0+j < int(from) || from == 4 && q0+i == 5 && k0+j == 5 {`, specs("600")},
	// Models of the fuzzer have a block of queries each, and all starts in one
	// block of keys.
	{"a block of queries visits the keys of its first start only", "runtime/cpu/attention_starts.go",
		`lo, hi = min(lo, s), max(hi, s)`, `hi = max(hi, s)`, Test{"./runtime/cpu", "AttentionStarts$", nil}},
	{"the gradients of keys that no query sees are not stored", "runtime/cpu/attention_starts.go",
		`min(max(0, int(lo))/tileK, qi)`, `max(0, int(lo)) / tileK`, Test{"./runtime/cpu", "AttentionStartsBlind", nil}},
	// Processors with vectors run these at the ends of rows only.
	{"a wrong coefficient of tanh, where there are no vectors", "runtime/cpu/vec_special.go",
		`p = float32(p*s) + tanhS2`, `p = float32(p*s) + tanhS2*1.001`, Test{"./runtime/cpu", "ErfTanhAccuracy", nil}},
	{"a wrong coefficient of erf, where there are no vectors", "runtime/cpu/vec_special.go",
		`p = float32(p*t) + erfL4`, `p = float32(p*t) + erfL4*1.002`, Test{"./runtime/cpu", "ErfTanhAccuracy", nil}},

	// Generated code. Exec, which shares nothing with what prints it, is right.
	{"generated code reads rows of a pack at the wrong distance", "codegen/golang/kernels.go",
		`p.call(l, "SwiGLU", p.at(y), p.at(g), p.ld(g, f),`, `p.call(l, "SwiGLU", p.at(y), p.at(g), p.dim(f),`, Test{"./internal/fuzz", "TestGenerated", nil}},
}

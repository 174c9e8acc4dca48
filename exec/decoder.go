package exec

import (
	"fmt"

	"github.com/llamac/llamac/plan"
	"github.com/llamac/llamac/runtime/kv"
	"github.com/llamac/llamac/runtime/model"
)

// defaultBlock is the number of tokens of a cache block in a plan whose cache
// only counts tokens: one without attention.
// It is that of package compile, but for a cache of nothing any number would do.
const defaultBlock = 16

// decoder runs the program decode over a cache.
// n and rows are what the live dimensions N and R point to. Sequences that were
// forked share blocks; when one of them writes to such a block, the cache asks for
// a copy, which has to be made in each state and layer.
type decoder struct {
	*machine
	decode       *program
	n, rows      int // tokens and rows of the step that runs
	maxTokens    int
	maxRows      int
	vocab        int
	logits       []float32
	cache        *kv.Cache
	states       [][][]float32 // of each state and layer
	elemsOfBlock []int         // of each state
}

// NewDecoder allocates what a plan's inference needs and resolves its
// launches. It reports a plan that has no inference, or with a launch that no
// kernel runs.
// The plan's capacities become the cache's: S sequences, of M blocks at most, out of
// blocks; N tokens and R rows of logits a step.
func NewDecoder(p *plan.Plan, o Options) (model.Decoder, error) {
	q := p.Program("decode")
	if q == nil {
		return nil, fmt.Errorf("exec: the plan has no program decode")
	}
	m, err := newMachine(p, o, "act.infer")
	if err != nil {
		return nil, err
	}
	t := &decoder{machine: m}
	// The two sizes that differ from step to step; all others are the plan's.
	if t.decode, err = m.compile(q, map[string]*int{"N": &t.n, "R": &t.rows}); err != nil {
		m.close()
		return nil, err
	}
	sizes := p.Sizes()
	block := defaultBlock
	for i, s := range p.State {
		if i == 0 {
			// !kv is [blocks, 2, kv_heads, block, d].
			block = int(s.Dims[3].N)
		}
		t.states = append(t.states, m.stateOf(s))
		// Blocks are the outermost axis, so each is contiguous.
		t.elemsOfBlock = append(t.elemsOfBlock, int(s.Bytes/4/sizes["blocks"]))
	}
	context := o.Context
	if context == 0 {
		context = int(sizes["M"]) * block
	}
	t.cache = kv.New(int(sizes["S"]), int(sizes["blocks"]), block, context, int(sizes["N"]))
	t.maxTokens, t.maxRows = int(sizes["N"]), int(sizes["R"])
	t.vocab = int(q.Results[0].Type.Last().N)
	t.logits = (&env{program: t.decode, layer: -1}).at(q.Results[0])
	return t, nil
}

// Step appends tokens[i] to the sequence seqs[i] and gives the logits of tokens
// want[j], rows of the vocabulary's width. All is checked before the cache changes,
// so an error leaves it as it was.
func (t *decoder) Step(tokens, seqs, want []int32, logits []float32) error {
	if err := model.CheckStep(tokens, seqs, want, logits, t.maxTokens, t.maxRows, t.vocab); err != nil {
		return err
	}
	n, rows := len(tokens), len(want)
	// Append finds the position of each token and a block for it.
	pos, copies, err := t.cache.Append(seqs)
	if err != nil {
		return err
	}
	// Before the program runs: it writes into the copies.
	for _, c := range copies {
		for i, layers := range t.states {
			k := t.elemsOfBlock[i]
			for _, x := range layers {
				copy(x[int(c.To)*k:][:k], x[int(c.From)*k:])
			}
		}
	}
	// Closures ask for sizes when they run, so this sets the step's shapes.
	t.n, t.rows = n, rows
	r := t.decode
	r.set("tokens", tokens)
	r.set("pos", pos)
	r.set("seq", seqs)
	r.set("table", t.cache.Table())
	r.set("want", want)
	r.run()
	// The program's own memory is written again by the next step.
	copy(logits[:rows*t.vocab], t.logits)
	return nil
}

func (t *decoder) Params() []float32       { return t.params }
func (t *decoder) Len(seq int) int         { return t.cache.Len(seq) }
func (t *decoder) Reset(seq int)           { t.cache.Reset(seq) }
func (t *decoder) Fork(dst, src int) error { return t.cache.Fork(dst, src) }
func (t *decoder) Close()                  { t.close() }

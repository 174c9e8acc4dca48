package passes

import (
	"fmt"
	"slices"

	"github.com/llamac/llamac/ir"
)

// SpecialiseKV turns @logits over whole sequences into @decode over a flat
// list of tokens, each with its position and the number of its sequence:
//
//	%pos = iota()                    ──▶  parameter %pos [N]
//	attention(q, k, v)               ──▶  attention_kv(q, k, v, pos, seq, table, !kv)
//	logits of every token            ──▶  logits of the R rows that %want names
//
// The cache is state in blocks [blocks, 2, kv_heads, block, d] with a table of
// blocks for each sequence, so ragged batches and shared prefixes are the same
// program (Kwon et al. 2023). N tokens come in one step, of up to S sequences
// with up to M cache blocks each.
var SpecialiseKV = Pass{
	Name: "specialise_kv", Doc: "Turns whole-sequence attention into attention over a block-wise KV cache.",
	Run: specialiseKV, Required: true,
}

func specialiseKV(u *Unit) error {
	m := u.Module
	f := m.Func("logits")
	if f == nil {
		return fmt.Errorf("specialise_kv: the module has no function @logits")
	}
	f.Name = "decode"
	// The module's own B and T give way. N and R vary from step to step, up to
	// their capacities; the rest is fixed when the cache is made.
	m.Dims = []ir.DimDecl{{Name: "N", Min: 1, Max: u.Config.Capacity["N"]}, {Name: "R", Min: 1, Max: u.Config.Capacity["R"]}}
	for _, name := range []string{"S", "M", "blocks"} {
		n := u.Config.Dims[name]
		m.Dims = append(m.Dims, ir.DimDecl{Name: name, Min: n, Max: n})
	}
	// A flat list of tokens is a batch of one: B becomes 1 everywhere.
	// A clone, as types are shared all over the module.
	*m = *ir.Clone(m, map[string]int64{"B": 1})
	f = m.Func("decode")
	k := &kvSpecialiser{u: u, block: u.Config.Dims["block"]}
	// The parameters to come have names that the targets rely on.
	for _, g := range m.Funcs {
		leaveNames(g, Positions, "seq", "table", "want")
	}
	b := ir.NewBuilder(f)
	i32 := func(dims ...ir.Dim) ir.Type { return ir.TensorOf(ir.I32, dims...) }
	N, R := ir.Sym("N"), ir.Sym("R")
	k.pos = b.Param("pos", i32(N))
	k.seq = b.Param("seq", i32(N))
	k.table = b.Param("table", i32(ir.Sym("S"), ir.Sym("M")))
	k.want = b.Param("want", i32(R))
	if err := k.positions(f); err != nil {
		return err
	}
	for _, s := range m.Stacks {
		for _, seg := range s.Segments {
			// The main function lost its iota; from here on positions are data.
			if err := k.layer(s, seg.Forward); err != nil {
				return err
			}
		}
	}
	// Behind the replacement of attention: whatever still mixes tokens is not
	// causal attention, and would let sequences see each other.
	for _, g := range m.Funcs {
		for _, n := range g.Nodes {
			if mixesTokens(n) {
				return n.Results[0].Errorf("specialise_kv: @%s: %s = %s lets tokens see each other outside of causal attention: there is no cache for that", g.Name, n.Results[0], n.Op.Name)
			}
		}
	}
	for _, n := range f.Nodes {
		if n.Op.Name == "attention" {
			return n.Results[0].Errorf("specialise_kv: attention outside of the layers has no cache")
		}
		// The layers' attention reads them; the operands follow those that the
		// stack had.
		if n.Op.Name == "stack" {
			n.Operands = append(n.Operands, k.pos, k.seq, k.table)
		}
	}
	k.wanted(f)
	return nil
}

// Positions is the parameter with the position of each token.
const Positions = "pos"

// leaveNames renames values that bear the names of parameters to come.
func leaveNames(f *ir.Func, names ...string) {
	for _, n := range f.Nodes {
		for _, r := range n.Results {
			if slices.Contains(names, r.Name) {
				r.Name = ir.NewBuilder(f).Name(r.Name + ".value")
			}
		}
	}
}

// mixesTokens reports whether a node computes one token's values from
// another's: what is left of such nodes when attention has been recognised
// would be wrong over a flat list of tokens of several sequences.
// In the layers, tokens are rows along N. A node that sums or multiplies along
// N mixes them.
func mixesTokens(n *ir.Node) bool {
	along := func(d ir.Dim) bool { return hasSymbol(d, "N") }
	has := func(t ir.Type) bool { return slices.ContainsFunc(t.Dims, along) }
	switch n.Op.Name {
	case "matmul":
		return has(n.In(0)) && has(n.In(1))
	case "softmax":
		return along(n.In(0).Last())
	case "reduce_sum", "reduce_mean", "reduce_max":
		for _, a := range n.Ints("axes") {
			if along(n.In(0).Dims[a]) {
				return true
			}
		}
	}
	return false
}

type kvSpecialiser struct {
	u                     *Unit
	block                 int64
	pos, seq, table, want *ir.Value
}

// positions replaces the iota that counts positions. Every other use of N as
// an index would be wrong over flat tokens and is refused.
func (k *kvSpecialiser) positions(f *ir.Func) error {
	// A clone of the list, as Replace and the removal behind it change it.
	for _, n := range slices.Clone(f.Nodes) {
		if n.Op.Name != "iota" {
			continue
		}
		// Positions along the flat list are the one meaning of iota that
		// survives. Anything else counts tokens that do not follow each other.
		if !n.Result().Type.Equal(k.pos.Type) {
			return n.Result().Errorf("specialise_kv: %s counts along %s, which flat tokens do not have", n.Result(), n.Result().Type)
		}
		f.Replace(n.Result(), k.pos)
		k.u.Stats["positions"]++
	}
	eliminateDead(f)
	return nil
}

// layer gives a layer's attention its cache.
func (k *kvSpecialiser) layer(s *ir.Stack, f *ir.Func) error {
	b := ir.NewBuilder(f)
	pos, seq, table := b.Param("pos", k.pos.Type), b.Param("seq", k.seq.Type), b.Param("table", k.table.Type)
	count := 0
	for i, n := range f.Nodes {
		switch n.Op.Name {
		case "iota":
			return n.Results[0].Errorf("specialise_kv: @%s still has %s = %s: attention was not recognised (is fuse_attention disabled?)", f.Name, n.Results[0], n.Op.Name)
		case "attention":
			// A future token is not in the cache.
			if !n.Flag("causal") {
				return n.Results[0].Errorf("specialise_kv: %s is not causal", n.Results[0])
			}
			if n.Has(3) {
				return n.Results[0].Errorf("specialise_kv: %s has a first key of its own, the cache begins at 0", n.Results[0])
			}
			kt := n.In(1).Dims
			// A layer with several attentions has a cache for each.
			name := "kv"
			if count > 0 {
				name = fmt.Sprintf("kv.%d", count)
			}
			state := k.u.Module.StateNamed(name)
			if state == nil {
				state = &ir.State{Name: name, Layers: s.Layers(), Stack: s.Name,
					// [blocks, 2, kv_heads, block, d]: 2 for keys and values,
					// and the positions of a block behind the heads, so that
					// one head's keys are contiguous.
					Type: ir.TensorOf(ir.F32, ir.Sym("blocks"), ir.Const(2), kt[2], ir.Const(k.block), kt[3])}
				k.u.Module.State = append(k.u.Module.State, state)
			}
			count++
			o := n.Results[0]
			kv := &ir.Node{Op: ir.Lookup("attention_kv"), Results: []*ir.Value{o},
				Operands: []*ir.Value{n.Operands[0], n.Operands[1], n.Operands[2], pos, seq, table, f.StateValue(state)},
				Attrs:    ir.Attrs{"scale": n.Float("scale"), "window": int64(n.Int("window"))}}
			// The result stays the same value, with its name and readers.
			o.Def, o.Index = kv, 0
			f.Nodes[i] = kv
			k.u.Stats["attention_kv"]++
		}
	}
	return nil
}

// wanted picks the rows whose logits are asked for behind the layers, so that
// the vocabulary's projection runs over R rows. The nodes after the stack must
// work row by row; if one does not, the rows are picked from the logits.
//
// Decoding asks for the last token of a sequence, prompts for few: everything
// behind the layers then works on R rows instead of N, and the projection on
// the vocabulary is the largest product there is.
func (k *kvSpecialiser) wanted(f *ir.Func) {
	at := -1
	for i, n := range f.Nodes {
		if n.Op.Name == "stack" {
			at = i
		}
	}
	if at < 0 || !k.rowsAfter(f, at) {
		k.pickRows(f, len(f.Nodes), f.Results[0])
	}
}

// rowsAfter picks rows of the result of node i and types the later nodes anew.
// It reports false and leaves f as it was if one of them cannot follow.
func (k *kvSpecialiser) rowsAfter(f *ir.Func, i int) bool {
	// The attempt changes types, so that a copy is kept to go back to.
	old := ir.CloneFunc(f, f.Name)
	k.pickRows(f, i+1, f.Nodes[i].Result())
	for _, n := range f.Nodes[i+1:] {
		types, err := n.Op.Infer(n)
		if err != nil || n.Op.Effect != ir.Pure {
			*f = *old
			return false
		}
		for j, t := range types {
			n.Results[j].Type = t
		}
	}
	// The result must have become [1, R, vocab]; a node may have taken R for
	// something else.
	if d := f.Results[0].Type.Dims; len(d) != 3 || d[1] != ir.Sym("R") {
		*f = *old
		return false
	}
	k.u.Stats["rows_before_head"]++
	return true
}

// pickRows inserts %x.want = rows of %x at place i and makes later readers and
// results read it.
func (k *kvSpecialiser) pickRows(f *ir.Func, i int, x *ir.Value) {
	want := f.Params[len(f.Params)-1]
	b := ir.NewBuilder(f)
	width := x.Type.Last()
	rows := b.Reshape(x.Name+".rows", x, ir.Sym("N"), width)
	picked := b.Op("gather", x.Name+".picked", nil, rows, want)
	picked = b.Reshape(x.Name+".want", picked, ir.Const(1), ir.Sym("R"), width)
	made := b.Nodes
	tail := slices.Clone(f.Nodes[i:])
	f.Nodes = append(slices.Clone(f.Nodes[:i]), made...)
	for _, n := range tail {
		for j, v := range n.Operands {
			if v == x {
				n.Operands[j] = picked
			}
		}
	}
	for j, v := range f.Results {
		if v == x {
			f.Results[j] = picked
		}
	}
	f.Nodes = append(f.Nodes, tail...)
}

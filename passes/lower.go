package passes

import (
	"fmt"

	"github.com/llamac/llamac/ir"
	"github.com/llamac/llamac/plan"
)

// lower emits the launches of one node.
//
// Views show memory that is there, and constants are made by the program
// "tables": neither costs a launch.
func (s *scheduler) lower(n *ir.Node) error {
	if n.Op.View || len(n.Results) > 0 && s.isConst(n.Results[0]) {
		return nil
	}
	switch n.Op.Name {
	case "grad_add":
		if s.foldsGrad(n.Operands[0]) {
			return nil // written where it is made
		}
		// Somebody else reads this gradient as well, or its kernel cannot add:
		// it is added by a launch of its own.
		w := n.Operands[1].Weight
		s.launch(n, "grad_add", []plan.Operand{s.operand(n.Operands[0], plan.Read)}, []plan.Operand{s.grad(w)})
		return nil
	case "linear_pack":
		return s.linearPack(n)
	case "linear_pack_grad_x":
		return s.linearPackGradX(n)
	case "linear_pack_grad_w":
		return s.linearPackGradW(n)
	case "attention_kv":
		return s.attentionKV(n)
	}
	var args, results []plan.Operand
	for _, v := range n.Operands {
		// Optional operands keep their places, as targets know operands by
		// position.
		if v == nil {
			args = append(args, plan.Operand{Kind: plan.Absent, Mode: plan.Read})
			continue
		}
		args = append(args, s.operand(v, plan.Read))
	}
	for _, r := range n.Results {
		results = append(results, s.result(r))
	}
	s.launch(n, n.Op.Name, args, results)
	return nil
}

func (s *scheduler) launch(n *ir.Node, op string, args, results []plan.Operand) {
	l := &plan.Launch{Op: op, Args: args, Results: results, Attrs: n.Attrs, FLOPs: s.flops(n)}
	// The text is for people who read a plan; a draft is only measured.
	if !s.draft {
		l.Text = n.String()
	}
	if len(n.Results) > 0 {
		l.Name = n.Results[0].Name
	} else {
		l.Name = n.Op.Name
	}
	s.emit(l)
}

// flops counts a node's work at capacity.
//
// The node is copied, since its own types keep their symbols. In a program
// whose sizes vary this is the most that it can do.
func (s *scheduler) flops(n *ir.Node) int64 {
	k := *n
	k.Operands, k.Results = nil, nil
	bind := func(v *ir.Value) *ir.Value {
		if v == nil {
			return nil
		}
		w := *v
		w.Type = v.Type.Bind(s.sizes)
		return &w
	}
	for _, v := range n.Operands {
		k.Operands = append(k.Operands, bind(v))
	}
	for _, v := range n.Results {
		k.Results = append(k.Results, bind(v))
	}
	return ir.NodeCost(&k).FLOPs
}

// result is where r is written: its buffer, or the gradient of a weight when
// adding to that is all that happens to it.
func (s *scheduler) result(r *ir.Value) plan.Operand {
	if s.foldsGrad(r) {
		return s.grad(s.uses[r][0].Operands[1].Weight)
	}
	return s.operand(r, plan.Overwrite)
}

// gradWriters are the ops whose kernels write a gradient in place, overwriting
// or adding, by result.
var gradWriters = map[string]int{"linear_grad_w": 0, "rms_norm_grad": 1, "gather_grad": 0, "linear_xent_grad": 2}

// foldsGrad reports whether v is a gradient that its own kernel writes where
// it belongs.
//
// It must have one reader, the addition itself. With another the gradient has
// to exist as a value, and with none there is nothing to add to.
func (s *scheduler) foldsGrad(v *ir.Value) bool {
	if v.Def == nil {
		return false // a layer's parameter is a weight's gradient as it is
	}
	i, ok := gradWriters[v.Def.Op.Name]
	if v.Def.Op.Name == "linear_pack_grad_w" {
		i, ok = v.Index, true
	}
	u := s.uses[v]
	return ok && i == v.Index && len(u) == 1 && u[0].Op.Name == "grad_add"
}

// grad is the gradient of w. The first write of a program overwrites in the
// first micro-batch of a step.
//
// The first write thus clears nothing: no launch zeroes gradients, and the
// memory may hold anything before. Later ones add, in program order, which
// keeps results independent of the number of workers.
func (s *scheduler) grad(w *ir.Weight) plan.Operand {
	o := plan.Operand{Kind: plan.InGrads, Name: w.Name, Weight: []*plan.Weight{{Of: w}}, Type: w.Type, Layer: s.layerOf(w.Stack), Mode: plan.OverwriteFirst}
	if s.written[s.gradient(w)] {
		o.Mode = plan.Accumulate
	}
	s.written[s.gradient(w)] = true
	return o
}

// gradient is a weight's gradient; of layers, of those that one loop runs.
//
// Two loops run different layers of one stack, so each of them writes first in
// its own.
type gradient struct {
	w *ir.Weight
	l *layerLoop
}

func (s *scheduler) gradient(w *ir.Weight) gradient {
	if w.Stack == "" {
		return gradient{w: w}
	}
	return gradient{w, s.loop}
}

// joined is one operand over the weights of a pack.
//
// Weights of a pack lie one behind the other (layOutWeights), so the rows of
// all are one matrix [sum of rows, columns].
func joined(weights []*ir.Value, s *scheduler) plan.Operand {
	o := s.operand(weights[0], plan.Read)
	names := []string{weights[0].Weight.Name}
	rows := weights[0].Type.Dims[0]
	for _, w := range weights[1:] {
		o.Weight = append(o.Weight, &plan.Weight{Of: w.Weight})
		names = append(names, w.Weight.Name)
		rows.N += w.Type.Dims[0].N
	}
	o.Name = joinNames(names)
	o.Type = ir.TensorOf(o.Type.DType, rows, o.Type.Dims[1])
	return o
}

// whole is one operand over all members of a pack's buffer.
//
// Its width is the row's distance, so the operand is contiguous again: no
// column, no ld.
func (s *scheduler) whole(p *pack, values []*ir.Value, mode plan.Mode) plan.Operand {
	o := s.operand(values[0], mode)
	o.Name, o.Col, o.Ld = o.Buffer.Name, 0, 0
	d := values[0].Type.Dims
	o.Type = ir.Type{DType: values[0].Type.DType, Dims: append(append([]ir.Dim(nil), d[:len(d)-1]...), ir.Const(total(p.widths)))}
	return o
}

func weightsOf(values []*ir.Value) []*ir.Weight {
	var ws []*ir.Weight
	for _, v := range values {
		ws = append(ws, v.Weight)
	}
	return ws
}

// linearPack is one product where the results form a pack, and one a weight
// where they could not.
func (s *scheduler) linearPack(n *ir.Node) error {
	x, ws := n.Operands[0], n.Operands[1:]
	if p := s.st.packed(n.Results); p != nil {
		// layOutWeights learns here which weights must be neighbours.
		s.groups = append(s.groups, weightsOf(ws))
		s.launch(n, "linear", []plan.Operand{s.operand(x, plan.Read), joined(ws, s)}, []plan.Operand{s.whole(p, n.Results, plan.Overwrite)})
		return nil
	}
	for i, w := range ws {
		s.launchPart(n, n.Results, i, "linear", []plan.Operand{s.operand(x, plan.Read), s.operand(w, plan.Read)}, s.operand(n.Results[i], plan.Overwrite))
	}
	return nil
}

// launchPart emits one member's share of a pack that was not packed. Of the
// node's work each of the members has as much as it has columns.
func (s *scheduler) launchPart(n *ir.Node, members []*ir.Value, i int, op string, args []plan.Operand, result plan.Operand) {
	s.launch(n, op, args, []plan.Operand{result})
	l := (*s.out)[len(*s.out)-1].(*plan.Launch)
	l.Name = result.Name
	var columns int64
	for _, v := range members {
		columns += v.Type.Last().N
	}
	l.FLOPs = l.FLOPs / columns * members[i].Type.Last().N
	if i > 0 {
		l.Text = "... " + result.Name
	}
}

// Products with the gradients of the results, summed into one: dx = Σ dyᵢ·wᵢ.
// As one product the sum is part of its inner dimension; apart, each adds to
// what the last one left.
func (s *scheduler) linearPackGradX(n *ir.Node) error {
	k := (len(n.Operands) - 1) / 2
	acc, dys, ws := n.Operands[0], n.Operands[1:1+k], n.Operands[1+k:]
	accOperand := plan.Operand{Kind: plan.Absent, Mode: plan.Read}
	if acc != nil {
		accOperand = s.operand(acc, plan.Read)
	}
	dx := n.Result()
	if p := s.st.packed(dys); p != nil {
		s.groups = append(s.groups, weightsOf(ws))
		s.launch(n, "linear_grad_x", []plan.Operand{s.whole(p, dys, plan.Read), joined(ws, s), accOperand}, []plan.Operand{s.operand(dx, plan.Overwrite)})
		return nil
	}
	for i := range k {
		if i > 0 {
			// The first part starts from acc, the others from dx as it is by
			// then.
			accOperand = s.operand(dx, plan.Read)
		}
		s.launchPart(n, dys, i, "linear_grad_x", []plan.Operand{s.operand(dys[i], plan.Read), s.operand(ws[i], plan.Read), accOperand}, s.operand(dx, plan.Overwrite))
	}
	return nil
}

func (s *scheduler) linearPackGradW(n *ir.Node) error {
	x, dys := n.Operands[0], n.Operands[1:]
	p := s.st.packed(dys)
	// One kernel call overwrites all of its result or adds to all of it, so
	// that the pack's gradients must be written in place, all of them, and all
	// for the first time or none.
	folds := true
	var ws []*ir.Weight
	for _, r := range n.Results {
		if folds = folds && s.foldsGrad(r); folds {
			ws = append(ws, s.uses[r][0].Operands[1].Weight)
		}
	}
	if p != nil && folds && s.sameMode(ws) {
		s.groups = append(s.groups, ws)
		o := s.grad(ws[0])
		names := []string{ws[0].Name}
		rows := ws[0].Type.Dims[0]
		for _, w := range ws[1:] {
			o.Weight = append(o.Weight, s.grad(w).Weight...)
			names = append(names, w.Name)
			rows.N += w.Type.Dims[0].N
		}
		o.Name = joinNames(names)
		o.Type = ir.TensorOf(o.Type.DType, rows, o.Type.Dims[1])
		s.launch(n, "linear_grad_w", []plan.Operand{s.whole(p, dys, plan.Read), s.operand(x, plan.Read)}, []plan.Operand{o})
		return nil
	}
	for i, dy := range dys {
		s.launchPart(n, dys, i, "linear_grad_w", []plan.Operand{s.operand(dy, plan.Read), s.operand(x, plan.Read)}, s.result(n.Results[i]))
	}
	return nil
}

func (s *scheduler) sameMode(ws []*ir.Weight) bool {
	for _, w := range ws {
		if s.written[s.gradient(w)] != s.written[s.gradient(ws[0])] {
			return false
		}
	}
	return true
}

// attentionKV is two launches: the tokens' keys and values enter the cache,
// then all tokens attend.
//
// In this order: a token attends to itself, and to those of its sequence that
// came in the same step, so their keys must be there. The write has no FLOPs to
// count.
func (s *scheduler) attentionKV(n *ir.Node) error {
	o := func(i int, m plan.Mode) plan.Operand { return s.operand(n.Operands[i], m) }
	cache := o(6, plan.ReadWrite)
	s.launch(n, "kv_write", []plan.Operand{o(1, plan.Read), o(2, plan.Read), o(3, plan.Read), o(4, plan.Read), o(5, plan.Read)}, []plan.Operand{cache})
	w := (*s.out)[len(*s.out)-1].(*plan.Launch)
	w.Name, w.Text, w.FLOPs = cache.Name, fmt.Sprintf("!%s <- %s, %s", cache.Name, n.Operands[1], n.Operands[2]), 0
	s.launch(n, "attention_kv", []plan.Operand{o(0, plan.Read), o(3, plan.Read), o(4, plan.Read), o(5, plan.Read), o(6, plan.Read)}, []plan.Operand{s.operand(n.Result(), plan.Overwrite)})
	return nil
}

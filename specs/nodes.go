package specs

import (
	"reflect"
	"regexp"
	"slices"
	"strings"

	"github.com/llamac/llamac/internal/diag"
	"github.com/llamac/llamac/specs/internal/eval"
)

// maxNodes bounds a list. A block is written out once however many layers
// repeat it, so a longer list is a mistake.
const maxNodes = 1000

// nodeName is the form of names of nodes and weights: "attn.q", "tok_embeddings".
var nodeName = regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[a-z0-9][a-z0-9_]*)*$`)

// nodeList decodes a list of nodes in order. given is the name of the value
// that is there before the first node.
// The order is that of evaluation: a node reads only what stands above it, so a
// list has no cycles and needs no sorting.
type nodeList struct {
	d       *decoder
	given   string
	defined map[string]int // by name: the node's index
	names   []string       // of all nodes, those to come included
	body    []Node         // what a repeat must repeat; nil where repeat is not allowed
	rawBody any
}

// nodes decodes model.block and model.network. The library's nodes are made
// from the model's sizes: when those are wrong already, errors in its nodes
// follow from them and are left out.
func (d *decoder) nodes(o *object, m *Model) {
	before := len(d.errs)
	d.blockAndNetwork(o, m)
	if before > 0 {
		// A note with the library's name marks a value that nobody but the
		// library wrote.
		d.errs = append(d.errs[:before], slices.DeleteFunc(d.errs[before:], func(e *diag.Error) bool {
			return strings.Contains(e.Note, eval.LibraryPrefix)
		})...)
	}
}

// blockAndNetwork decodes both lists: the block first, since the network
// repeats it.
func (d *decoder) blockAndNetwork(o *object, m *Model) {
	block, path, ok := o.array("block")
	if ok {
		l := nodeList{d: d, given: "x"}
		m.Block = l.decode(block, path)
	}
	network, path, ok := o.array("network")
	if !ok {
		return
	}
	// "tokens" are ids [B, T]; the block reads "x", [B, T, dim].
	l := nodeList{d: d, given: "tokens", rawBody: o.m["block"]}
	// Not nil, which would mean that this list may hold no repeat.
	if l.body = m.Block; l.body == nil {
		l.body = []Node{}
	}
	m.Network = l.decode(network, path)
	// Generated code has one loop over layers, so a network has one repeat.
	var repeats []string
	for _, n := range m.Network {
		if n.Kind != "repeat" {
			continue
		}
		repeats = append(repeats, n.Name)
		// The number stands in two places of the document, of which the library
		// fills one from the other; who overrides only one is told.
		if d.ok("model.n_layers", n.Path) && n.Layers != m.Layers {
			d.errorf(eval.Field(n.Path, "layers"), "%s repeats %d layers, and model.n_layers is %d", n.Name, n.Layers, m.Layers)
		}
	}
	// Said only of a list that is sound otherwise: a misspelt kind may be the
	// repeat.
	if d.ok(path) && len(repeats) != 1 {
		d.errorf(path, "model.network must have exactly one repeat node, not %d", len(repeats))
	}
}

// decode decodes all nodes and goes on after a wrong one: its name still
// counts, so that those which read it are not wrong as well.
func (l *nodeList) decode(elems []any, path string) []Node {
	if len(elems) == 0 {
		l.d.errorf(path, "%s must have at least one node", path)
		return nil
	}
	// Before anything is allocated for it.
	if len(elems) > maxNodes {
		l.d.errorf(path, "%s has %d nodes, more than %d", path, len(elems), maxNodes)
		return nil
	}
	// Names are looked up by the nodes that follow.
	l.defined = map[string]int{}
	// Names first: a node that reads one further down is told so, not that
	// there is none.
	for _, v := range elems {
		if m, ok := v.(map[string]any); ok {
			if name, ok := m["name"].(string); ok {
				l.names = append(l.names, name)
			}
		}
	}
	out := make([]Node, 0, len(elems))
	for i, v := range elems {
		p := eval.Elem(path, i)
		if o := l.d.object(v, p); o != nil {
			out = append(out, l.node(o, i))
		}
		// One bad node makes rules about the whole list pointless.
		if !l.d.ok(p) {
			l.d.partial[path] = true
		}
	}
	return out
}

// node decodes one node and enters its name.
// It is entered even if it is wrong, so that the nodes that read it are judged
// by themselves.
func (l *nodeList) node(o *object, index int) Node {
	d := l.d
	n := Node{Path: o.path}
	before := len(d.errs)
	defer func() {
		if len(d.errs) > before {
			d.partial[o.path] = true
		}
	}()
	// The name comes first because all other messages carry it.
	o.string("name", &n.Name)
	if namePath := eval.Field(o.path, "name"); d.ok(namePath) {
		prev, dup := l.defined[n.Name]
		switch {
		case !nodeName.MatchString(n.Name):
			d.errorf(namePath, "node name %q must be words of a-z, 0-9 and _ joined by dots", n.Name)
		// Two values of one name in the IR would be renamed, and the spec's
		// author would look for the wrong one.
		case n.Name == l.given:
			d.errorf(namePath, "node name %s is taken: it is what the list reads", n.Name)
		case dup:
			d.errorf(namePath, "node name %s is taken by node %d of the list", n.Name, prev)
		}
	}
	// The name counts as defined once the node is read: a node that reads
	// itself reads what is not there yet.
	defer func() { l.defined[n.Name] = index }()

	o.string("kind", &n.Kind)
	if !d.ok(eval.Field(o.path, "kind")) {
		return n
	}
	// Without a kind nobody knows which fields the node should have, and
	// nothing more is said of it.
	kind := KindOf(n.Kind)
	if kind == nil {
		msg := ""
		if s := suggest(n.Kind, kindNames()); s != "" {
			msg = "; did you mean " + s + "?"
		}
		d.errorf(eval.Field(o.path, "kind"), "node %s: unknown kind %q%s", n.Name, n.Kind, msg)
		return n
	}
	if kind.Name == "repeat" && l.body == nil {
		d.inside(o.path, "node %s: a block cannot hold a repeat", n.Name)
		return n
	}
	l.inputs(o, &n, kind)
	// In the constructor's order, which is that of the messages.
	for _, f := range kind.Required {
		l.field(o, &n, f)
	}
	for _, f := range kind.Optional {
		if o.has(f) {
			l.field(o, &n, f)
		}
	}
	l.unknown(o, &n, kind)
	return n
}

// inputs decodes the names of the values that n reads, all defined before it.
// Shapes are not looked at here: ir/build knows them, and points at the same
// places.
func (l *nodeList) inputs(o *object, n *Node, kind *Kind) {
	d := l.d
	path := eval.Field(o.path, "inputs")
	o.strings("inputs", &n.Inputs)
	if !d.ok(path) {
		return
	}
	if len(n.Inputs) != len(kind.Inputs) {
		d.errorf(path, "node %s: the inputs of %s are %s, and there are %d", n.Name, n.Kind, strings.Join(kind.Inputs, ", "), len(n.Inputs))
		return
	}
	for _, in := range n.Inputs {
		if _, ok := l.defined[in]; ok || in == l.given {
			continue
		}
		switch {
		case in == n.Name:
			d.errorf(path, "node %s reads itself", n.Name)
		case slices.Contains(l.names, in):
			d.errorf(path, "node %s reads %s, which is defined after it", n.Name, in)
		default:
			msg := ""
			if s := suggest(in, append(sortedKeys(l.defined), l.given)); s != "" {
				msg = "; did you mean " + s + "?"
			}
			d.errorf(path, "node %s reads %s, which no node before it defines%s", n.Name, in, msg)
		}
	}
}

// field decodes one field of a node.
func (l *nodeList) field(o *object, n *Node, name string) {
	d := l.d
	path := eval.Field(o.path, name)
	if !o.has(name) {
		d.inside(o.path, "node %s: %s has no %s", n.Name, n.Kind, name)
		return
	}
	// The names are the document's; Kinds says who takes which.
	switch name {
	case "weight":
		l.weight(o, n, name, &n.Weight)
	case "bias":
		l.weight(o, n, name, &n.Bias)
	case "out":
		o.int(name, &n.Out, atLeast(1))
	case "heads":
		o.int(name, &n.Heads, atLeast(1))
	case "layers":
		o.int(name, &n.Layers, atLeast(1))
	// Nodes that write to the residual stream start smaller in small models.
	case "std":
		o.number(name, &n.Std, positive)
	// Megatron's two ways to cut a matrix (Shoeybi et al. 2019): by outputs or
	// by inputs.
	case "shard":
		o.enum(name, &n.Shard, "column", "row")
	case "value":
		switch n.Kind {
		case "rms_norm", "layer_norm":
			o.number(name, &n.Value, nonNegative)
		// A number of positions, where the others have a real number.
		case "window_mask":
			window := 0
			o.int(name, &window, atLeast(1))
			n.Value = float64(window)
		default:
			o.number(name, &n.Value, anyNumber)
		}
	case "body":
		// The document repeats the block here. Decoding it again would
		// repeat its errors.
		if !reflect.DeepEqual(o.m[name], l.rawBody) {
			d.errorf(path, "node %s: the body of the repeat must be model.block", n.Name)
		}
		n.Body = l.body
	}
}

// weight decodes a name of a weight, which becomes part of names in files:
// "layers.3.attention.wq".
func (l *nodeList) weight(o *object, n *Node, name string, dst *string) {
	o.string(name, dst)
	path := eval.Field(o.path, name)
	if l.d.ok(path) && !nodeName.MatchString(*dst) {
		l.d.errorf(path, "node %s: %s %q must be words of a-z, 0-9 and _ joined by dots", n.Name, name, *dst)
	}
}

// unknown reports the fields that the kind does not have.
// They are a mistake even where harmless: a linear with eps was meant to be a
// norm.
func (l *nodeList) unknown(o *object, n *Node, kind *Kind) {
	for _, f := range sortedKeys(o.m) {
		if slices.Contains(o.known, f) {
			continue
		}
		takes := strings.Join(slices.Concat(kind.Required, kind.Optional), ", ")
		if takes == "" {
			takes = "none"
		}
		l.d.inside(o.path, "node %s: %s has no field %s (its fields: %s)", n.Name, n.Kind, f, takes)
	}
}

// kindNames are the candidates for a slip of the pen.
func kindNames() []string {
	names := make([]string, len(Kinds))
	for i := range Kinds {
		names[i] = Kinds[i].Name
	}
	return names
}

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
		d.errs = append(d.errs[:before], slices.DeleteFunc(d.errs[before:], func(e *diag.Error) bool {
			return strings.Contains(e.Note, eval.LibraryPrefix)
		})...)
	}
}

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
	l := nodeList{d: d, given: "tokens", rawBody: o.m["block"]}
	if l.body = m.Block; l.body == nil {
		l.body = []Node{}
	}
	m.Network = l.decode(network, path)
	var repeats []string
	for _, n := range m.Network {
		if n.Kind != "repeat" {
			continue
		}
		repeats = append(repeats, n.Name)
		if d.ok("model.n_layers", n.Path) && n.Layers != m.Layers {
			d.errorf(eval.Field(n.Path, "layers"), "%s repeats %d layers, and model.n_layers is %d", n.Name, n.Layers, m.Layers)
		}
	}
	if d.ok(path) && len(repeats) != 1 {
		d.errorf(path, "model.network must have exactly one repeat node, not %d", len(repeats))
	}
}

func (l *nodeList) decode(elems []any, path string) []Node {
	if len(elems) == 0 {
		l.d.errorf(path, "%s must have at least one node", path)
		return nil
	}
	if len(elems) > maxNodes {
		l.d.errorf(path, "%s has %d nodes, more than %d", path, len(elems), maxNodes)
		return nil
	}
	l.defined = map[string]int{}
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
		if !l.d.ok(p) {
			l.d.partial[path] = true
		}
	}
	return out
}

// node decodes one node and enters its name.
func (l *nodeList) node(o *object, index int) Node {
	d := l.d
	n := Node{Path: o.path}
	before := len(d.errs)
	defer func() {
		if len(d.errs) > before {
			d.partial[o.path] = true
		}
	}()
	o.string("name", &n.Name)
	if namePath := eval.Field(o.path, "name"); d.ok(namePath) {
		prev, dup := l.defined[n.Name]
		switch {
		case !nodeName.MatchString(n.Name):
			d.errorf(namePath, "node name %q must be words of a-z, 0-9 and _ joined by dots", n.Name)
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
	case "std":
		o.number(name, &n.Std, positive)
	case "shard":
		o.enum(name, &n.Shard, "column", "row")
	case "value":
		switch n.Kind {
		case "rms_norm", "layer_norm":
			o.number(name, &n.Value, nonNegative)
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

func (l *nodeList) weight(o *object, n *Node, name string, dst *string) {
	o.string(name, dst)
	path := eval.Field(o.path, name)
	if l.d.ok(path) && !nodeName.MatchString(*dst) {
		l.d.errorf(path, "node %s: %s %q must be words of a-z, 0-9 and _ joined by dots", n.Name, name, *dst)
	}
}

// unknown reports the fields that the kind does not have.
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

func kindNames() []string {
	names := make([]string, len(Kinds))
	for i := range Kinds {
		names[i] = Kinds[i].Name
	}
	return names
}

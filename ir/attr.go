package ir

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Attrs are the constant arguments of a node. Values are int64, float64,
// string, bool, []int64, []float64 or []Dim, as the op's row says.
// Other kinds of integers do not occur: one Go type for each kind lets an
// attribute be compared, printed and parsed without looking at its op. A value
// that equals the default is left out (the verifier takes it away), so two
// nodes that mean the same have the same map, and the same text.
type Attrs map[string]any

// AttrKind is the kind of an attribute's value.
// The parser is led by it and never guesses: 1 is a float where the row says
// float.
type AttrKind uint8

const (
	IntAttr AttrKind = iota
	FloatAttr
	StringAttr
	BoolAttr
	IntsAttr
	FloatsAttr
	DimsAttr
)

func (k AttrKind) String() string {
	return [...]string{"int", "float", "string", "bool", "ints", "floats", "dims"}[k]
}

// AttrSpec declares one attribute of an op. Default nil means required.
// Rows list attributes in the order in which they are printed.
type AttrSpec struct {
	Name    string
	Kind    AttrKind
	Default any
	Doc     string
}

// kindOf is how the verifier sees that a pass put an int where an int64 belongs:
// Go would store either.
func kindOf(v any) (AttrKind, bool) {
	switch v.(type) {
	case int64:
		return IntAttr, true
	case float64:
		return FloatAttr, true
	case string:
		return StringAttr, true
	case bool:
		return BoolAttr, true
	case []int64:
		return IntsAttr, true
	case []float64:
		return FloatsAttr, true
	case []Dim:
		return DimsAttr, true
	}
	return 0, false
}

// attrEqual exists because == on two interfaces that hold slices panics. Kinds
// that differ are unequal.
func attrEqual(a, b any) bool {
	switch x := a.(type) {
	case []int64:
		y, ok := b.([]int64)
		return ok && slices.Equal(x, y)
	case []float64:
		y, ok := b.([]float64)
		return ok && slices.Equal(x, y)
	case []Dim:
		y, ok := b.([]Dim)
		return ok && slices.Equal(x, y)
	}
	return a == b
}

// Int is an integer attribute.
// The getters below give the default where the node has none. They panic on a
// wrong name or kind: that is a mistake in a row or a pass, which no input can
// cause, since the verifier has compared all attributes with the row.
func (n *Node) Int(name string) int { return int(n.attr(name).(int64)) }

// Float is a real attribute.
func (n *Node) Float(name string) float64 { return n.attr(name).(float64) }

// Str is a string attribute.
func (n *Node) Str(name string) string { return n.attr(name).(string) }

// Flag is a boolean attribute.
func (n *Node) Flag(name string) bool { return n.attr(name).(bool) }

// Ints is an attribute with a list of integers.
func (n *Node) Ints(name string) []int64 { return n.attr(name).([]int64) }

// Floats is an attribute with a list of reals.
func (n *Node) Floats(name string) []float64 { return n.attr(name).([]float64) }

// DimsOf is an attribute with a list of dimensions.
func (n *Node) DimsOf(name string) []Dim { return n.attr(name).([]Dim) }

// attr looks at the node first and then at the row. A row has few attributes,
// so a scan is as good as a map.
func (n *Node) attr(name string) any {
	if v, ok := n.Attrs[name]; ok {
		return v
	}
	for _, a := range n.Op.Attrs {
		if a.Name == name && a.Default != nil {
			return a.Default
		}
	}
	panic(fmt.Sprintf("ir: %s has no attribute %s", n.Op.Name, name))
}

// FormatAttr prints one value so that the parser reads it back exactly.
func FormatAttr(v any) string {
	switch x := v.(type) {
	case int64:
		return strconv.FormatInt(x, 10)
	case float64:
		return formatFloat(x)
	case string:
		return strconv.Quote(x)
	case bool:
		return strconv.FormatBool(x)
	case []int64:
		return list("", x, func(i int64) string { return strconv.FormatInt(i, 10) })
	case []float64:
		return list("", x, formatFloat)
	case []Dim:
		return list("dims", x, Dim.String)
	}
	panic(fmt.Sprintf("ir: attribute of type %T", v))
}

// list prints [1, 2]. The prefix of dims[B, 2] tells dims from integers, for a
// reader: both could be numbers only.
func list[T any](prefix string, xs []T, f func(T) string) string {
	s := make([]string, len(xs))
	for i, x := range xs {
		s[i] = f(x)
	}
	return prefix + "[" + strings.Join(s, ", ") + "]"
}

// formatFloat keeps a real apart from an integer: 1.0, 1e-05, inf, nan.
// The digits are the fewest that read back as the same float64, so that neither
// text nor a hash of it depends on how a constant was computed.
func formatFloat(x float64) string {
	s := strconv.FormatFloat(x, 'g', -1, 64)
	// An exponent, Inf or NaN already looks like no integer.
	if !strings.ContainsAny(s, ".eIN") {
		s += ".0"
	}
	return strings.NewReplacer("+Inf", "inf", "-Inf", "-inf", "NaN", "nan").Replace(s)
}

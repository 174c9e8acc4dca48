package model

import (
	"bytes"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// Class says what a field of a spec decides, and so what may go on after it
// has changed.
type Class int

const (
	// FreeField fields change nothing that is computed: names, paths (what lies there
	// is known by its content), what is stored, shown and kept.
	FreeField Class = iota
	// RecipeField fields decide how training goes on from a state, not what the state
	// means: a run is resumed under another recipe only on purpose.
	RecipeField
	// IdentityField fields decide what weights mean: under others they are numbers.
	IdentityField
)

// classes has the class of each field of a spec, by its path; a section stands
// for all that is in it. The longest path that fits counts.
var classes = map[string]Class{
	"name": FreeField, "doc": FreeField, "names": FreeField,

	"model":          IdentityField,
	"model.context":  RecipeField, // the length of sequences; no weight knows it
	"model.init_std": RecipeField,

	"train.micro_batch": RecipeField, "train.accum": RecipeField, "train.steps": RecipeField, "train.seed": RecipeField,
	"train.save_every": FreeField, "train.eval": FreeField, "train.sample": FreeField, "train.keep": FreeField,
	"optim": RecipeField, "schedule": RecipeField,

	"data.validation": RecipeField, "data.dedup": RecipeField, "data.boundary": RecipeField, "data.tokens": FreeField,
	"data.sources": RecipeField, "data.sources.paths": FreeField, "data.sources.exclude": FreeField,

	"tokenizer.kind": RecipeField, "tokenizer.vocab": RecipeField, "tokenizer.bos": RecipeField, "tokenizer.eos": RecipeField,
	"tokenizer.specials": RecipeField, "tokenizer.path": FreeField,

	"checkpoint":        FreeField, // gradients are the same bits under each policy
	"precision.compute": IdentityField, "precision.master": RecipeField,
	"parallel": RecipeField,
}

// optional are the values of fields that a spec may leave out.
var optional = map[string]any{
	"tokenizer.specials": false,
	"data.sources.field": "", "data.sources.max_bytes": 0.0, "data.sources.epochs": 0.0, "data.sources.dedup": false,
}

// ClassOf gives the class of a field, "model.rope.theta"; false for one that
// the table does not know.
func ClassOf(path string) (Class, bool) {
	for path = withoutIndices(path); ; {
		if c, ok := classes[path]; ok {
			return c, true
		}
		i := strings.LastIndexByte(path, '.')
		if i < 0 {
			return RecipeField, false
		}
		path = path[:i]
	}
}

// withoutIndices makes "data.sources.paths" of "data.sources[0].paths[2]".
func withoutIndices(path string) string {
	for {
		i, j := strings.IndexByte(path, '['), strings.IndexByte(path, ']')
		if i < 0 || j < i {
			return path
		}
		path = path[:i] + path[j+1:]
	}
}

// Change is a field that two specs give different values. Old and New are in
// JSON, on one line, and empty where a spec has no such field.
type Change struct {
	Path     string `json:"path"`
	Old, New string
	Class    Class `json:"-"`
}

// Set is the argument of --set that gives the field its old value again.
func (c Change) Set() string { return c.Path + "=" + c.Old }

// String reads "optim.lr was 0.001 and is 0.002".
func (c Change) String() string {
	return fmt.Sprintf("%s was %s and is %s", c.Path, shown(c.Old), shown(c.New))
}

// shown is a value in a sentence.
func shown(v string) string {
	const most = 120 // a node fits
	switch {
	case v == "":
		return "not there"
	case len(v) > most:
		return v[:most] + "..."
	}
	return v
}

// Changes lists the fields in which two evaluated specs differ, in the order of
// their paths, but for those that are FreeField. Spelling makes no difference: how a
// number is written, a field that has the value which it has when left out, the
// names of nodes. Nodes are compared only if no other field of the model
// differs, since the library makes them from those.
func Changes(old, new string) ([]Change, error) {
	a, err := flatten(old)
	if err != nil {
		return nil, fmt.Errorf("the recorded spec: %w", err)
	}
	b, err := flatten(new)
	if err != nil {
		return nil, fmt.Errorf("the spec: %w", err)
	}
	implied(a, b)
	paths := maps.Clone(a)
	maps.Copy(paths, b)
	var out, nodes []Change
	sizes := false // a field of the model beside its nodes differs
	for _, p := range slices.Sorted(maps.Keys(paths)) {
		class, _ := ClassOf(p)
		x, inA := a[p]
		y, inB := b[p]
		if class == FreeField || inA == inB && reflect.DeepEqual(x, y) {
			continue
		}
		c := Change{p, text(x, inA), text(y, inB), class}
		if isNode(p) {
			// How a weight began, or is divided, is not what it means.
			if strings.HasSuffix(p, ".std") || strings.HasSuffix(p, ".shard") {
				c.Class = RecipeField
			}
			nodes = append(nodes, c)
			continue
		}
		sizes = sizes || strings.HasPrefix(p, "model.") && (class == IdentityField || p == "model.init_std")
		out = append(out, c)
	}
	if !sizes {
		out = append(out, nodes...)
	}
	return out, nil
}

// Differ tells whether two evaluated specs give a field, or one of a section,
// different values, of whatever class it is.
func Differ(old, new string, field string) bool {
	a, errA := flatten(old)
	b, errB := flatten(new)
	if errA != nil || errB != nil {
		return true
	}
	of := func(m map[string]any) map[string]any {
		m = maps.Clone(m)
		maps.DeleteFunc(m, func(p string, _ any) bool { return p != field && !strings.HasPrefix(p, field+".") })
		return m
	}
	return !reflect.DeepEqual(of(a), of(b))
}

// OfClass picks the changes of a class.
func OfClass(changes []Change, class Class) []Change {
	return slices.DeleteFunc(slices.Clone(changes), func(c Change) bool { return c.Class != class })
}

func isNode(path string) bool {
	return strings.HasPrefix(path, "model.block") || strings.HasPrefix(path, "model.network")
}

// text is a value in JSON.
func text(v any, there bool) string {
	if !there {
		return ""
	}
	// Plain numbers: 1e-05 and 0.00001 are one, and the short form is the one to
	// read.
	if x, ok := v.(float64); ok {
		return strconv.FormatFloat(x, 'g', -1, 64)
	}
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.Encode(v) // it came from JSON
	return strings.TrimSpace(b.String())
}

// flatten maps the path of each field to its value. Objects are taken apart,
// and so are the lists of sources and of nodes.
func flatten(doc string) (map[string]any, error) {
	var m map[string]any
	if err := json.Unmarshal([]byte(doc), &m); err != nil {
		return nil, err
	}
	out := map[string]any{}
	if model, ok := m["model"].(map[string]any); ok {
		anonymous(model["block"], "x")
		anonymous(model["network"], "tokens")
	}
	flattenInto(out, "", m)
	// A kind of scaling reads some of the fields that may stand beside it.
	const scaling = "model.rope.scaling."
	kind := out[scaling+"kind"]
	for _, f := range []string{"factor", "low_freq_factor", "high_freq_factor", "original_context"} {
		if kind == "none" || kind == "linear" && f != "factor" {
			delete(out, scaling+f)
		}
	}
	return out, nil
}

func flattenInto(out map[string]any, path string, v any) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			p := k
			if path != "" {
				p = path + "." + k
			}
			flattenInto(out, p, x)
		}
	case []any:
		if len(v) > 0 {
			if _, ok := v[0].(map[string]any); ok {
				for i, x := range v {
					flattenInto(out, fmt.Sprintf("%s[%d]", path, i), x)
				}
				return
			}
		}
		out[path] = v
	default:
		if def, ok := optional[withoutIndices(path)]; ok && reflect.DeepEqual(v, def) {
			return
		}
		out[path] = v
	}
}

// implied leaves head_dim out where both specs come to the same, given or not.
func implied(a, b map[string]any) {
	const field = "model.head_dim"
	width := func(m map[string]any) any {
		if x, ok := m[field]; ok {
			return x
		}
		dim, _ := m["model.dim"].(float64)
		heads, _ := m["model.n_heads"].(float64)
		return dim / heads
	}
	if x, y := width(a), width(b); x == y {
		delete(a, field)
		delete(b, field)
	}
}

// anonymous puts numbers in the place of the names of nodes, which only say
// what reads what.
func anonymous(list any, given string) {
	nodes, _ := list.([]any)
	number := map[string]any{given: given}
	for i, n := range nodes {
		m, ok := n.(map[string]any)
		if !ok {
			continue
		}
		inputs, _ := m["inputs"].([]any)
		for j, in := range inputs {
			if name, ok := in.(string); ok && number[name] != nil {
				inputs[j] = number[name]
			}
		}
		if name, ok := m["name"].(string); ok {
			number[name] = float64(i)
		}
		delete(m, "name")
		delete(m, "body") // it is model.block
	}
}

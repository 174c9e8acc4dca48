package specs

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/llamac/llamac/internal/diag"
	"github.com/llamac/llamac/specs/internal/eval"
)

// decoder turns the evaluated document into a Spec and collects what is wrong.
// Its one aim: as many true errors as possible in one run, and none that only
// follows from another.
type decoder struct {
	at   *locator
	errs diag.List
	// bad holds the paths whose value could not be had, so that no second
	// error follows from the first.
	bad map[string]bool
	// partial holds the paths of objects and arrays that are there, but with
	// something wrong inside.
	partial map[string]bool
	// asked, if not nil, hears the path of each field of the schema.
	asked func(path string)
}

// errorf reports a problem with the value at path.
func (d *decoder) errorf(path, format string, args ...any) {
	pos, note := d.at.value(path)
	d.errs = append(d.errs, &diag.Error{Pos: pos, Msg: fmt.Sprintf(format, args...), Note: note})
	d.bad[path] = true
}

// inside reports a problem inside the object at path which leaves its other
// fields as good as they are.
// Such as a field that should not be there, or one that is missing.
func (d *decoder) inside(path, format string, args ...any) {
	wasBad := d.bad[path]
	d.errorf(path, format, args...)
	d.bad[path] = wasBad
	d.partial[path] = true
}

// ok says whether all of these paths, and what holds them, were decoded well.
func (d *decoder) ok(paths ...string) bool {
	for _, p := range paths {
		if d.partial[p] {
			return false
		}
		// A value is as good as everything that it lies in.
		for ; ; p = eval.Parent(p) {
			if d.bad[p] {
				return false
			}
			if p == "" {
				break
			}
		}
	}
	return true
}

// object is one object of the document while it is decoded. Each accessor
// notes the field's name; close reports the fields that nobody asked for.
// Its path leads to positions, its list of known fields to hints.
type object struct {
	d     *decoder
	path  string
	m     map[string]any
	known []string
}

// get returns the value of a field, and false with an error if it is missing.
// A field that is missing because it failed to evaluate has been reported by
// the evaluator.
func (o *object) get(name string) (v any, path string, ok bool) {
	path = eval.Field(o.path, name)
	// Nothing stands where it should: the object that lacks it is the place.
	if !o.has(name) {
		if o.d.ok(path) {
			pos, _ := o.d.at.value(o.path)
			o.d.errs.Add(pos, "%s is missing", path)
			o.d.bad[path] = true
		}
		return nil, path, false
	}
	return o.m[name], path, true
}

// has says whether an optional field is there.
func (o *object) has(name string) bool {
	if !slices.Contains(o.known, name) {
		o.known = append(o.known, name)
	}
	if o.d.asked != nil {
		o.d.asked(eval.Field(o.path, name))
	}
	_, ok := o.m[name]
	return ok
}

// follows says whether a field has the library's default, computed from the
// value at path, and that value is wrong. The field is then as wrong, and no
// more need be said.
// As n_kv_heads, which the library sets to n_heads: where that is "many", there
// is one mistake and not two.
func (o *object) follows(name, path string) bool {
	field := eval.Field(o.path, name)
	// A note says that the library set the field.
	if _, note := o.d.at.value(field); note == "" || o.d.ok(path) {
		return false
	}
	o.has(name)
	o.d.bad[field] = true
	return true
}

// close reports unknown fields.
// A field that nobody reads is a setting that silently does nothing, which is
// the most expensive kind of mistake in training.
func (o *object) close() {
	for _, name := range sortedKeys(o.m) {
		// Asked for by some accessor: the decoder is the schema.
		if slices.Contains(o.known, name) {
			continue
		}
		path := eval.Field(o.path, name)
		pos, note := o.d.at.name(path)
		msg := "unknown field " + path
		// Only names of this very object: a hint must be a mend.
		if s := suggest(name, o.known); s != "" {
			msg += "; did you mean " + s + "?"
		}
		o.d.errs = append(o.d.errs, &diag.Error{Pos: pos, Msg: msg, Note: note})
		o.d.bad[path] = true
	}
}

// object descends into a field; on an error it returns nil.
func (o *object) object(name string) *object {
	v, path, ok := o.get(name)
	if !ok {
		return nil
	}
	return o.d.object(v, path)
}

// object opens a value as an object; nil, and an error, if it is none.
func (d *decoder) object(v any, path string) *object {
	m, ok := v.(map[string]any)
	if !ok {
		d.errorf(path, "%s must be an object, not %s", path, show(v))
		return nil
	}
	return &object{d: d, path: path, m: m}
}

// array returns the elements of a field.
func (o *object) array(name string) ([]any, string, bool) {
	v, path, ok := o.get(name)
	if !ok {
		return nil, path, false
	}
	a, ok := v.([]any)
	if !ok {
		o.d.errorf(path, "%s must be an array, not %s", path, show(v))
	}
	return a, path, ok
}

// A bound says which numbers a field takes.
type bound struct {
	ok   func(float64) bool
	text string // "must be " + text
}

var (
	// NaN cannot come from Jsonnet: arithmetic that gives one is an error
	// there.
	positive    = bound{func(x float64) bool { return x > 0 }, "greater than 0"}
	nonNegative = atLeast(0)
	anyNumber   = bound{func(float64) bool { return true }, "a number"}
	// moment is a decay rate of Adam's: at 1 nothing would ever be learned.
	moment = bound{func(x float64) bool { return x >= 0 && x < 1 }, "at least 0 and less than 1"}
	// fraction is a share that may be empty or all.
	fraction = bound{func(x float64) bool { return x >= 0 && x <= 1 }, "between 0 and 1"}
	share    = bound{func(x float64) bool { return x > 0 && x <= 1 }, "greater than 0 and at most 1"}
)

// atLeast bounds from below; sizes have their own limit above, see maxSize.
func atLeast(lo int) bound {
	return bound{func(x float64) bool { return x >= float64(lo) }, "at least " + strconv.Itoa(lo)}
}

// number decodes a real number within a bound. On an error dst keeps its value,
// as with the other accessors.
func (o *object) number(name string, dst *float64, b bound) {
	v, path, ok := o.get(name)
	if !ok {
		return
	}
	x, ok := v.(float64)
	switch {
	case !ok:
		o.d.errorf(path, "%s must be a number, not %s", path, show(v))
	case !b.ok(x):
		o.d.errorf(path, "%s must be %s, not %s", path, b.text, show(x))
	// Kernels compute in float32, where this would be another number: an epsilon
	// of 0 divides by it.
	case x != 0 && float32(x) == 0:
		o.d.errorf(path, "%s is %s, which is 0 in float32: give at least 1e-38, or 0 where that is meant", path, show(x))
	case math.Abs(x) > math.MaxFloat32:
		o.d.errorf(path, "%s is %s, which is infinite in float32: give at most 3.4e38", path, show(x))
	case !b.ok(float64(float32(x))):
		o.d.errorf(path, "%s is %s, which is %s in float32: it must be %s there as well", path, show(x), show(float64(float32(x))), b.text)
	default:
		*dst = x
	}
}

// Numbers in Jsonnet are float64: above 2^53 an integer may not be the one
// that was written. Sizes have a smaller limit, so that products of a few of
// them fit an int64.
const (
	maxInt  = 1 << 53
	maxSize = 1<<31 - 1
)

// int64 decodes an integer: JSON has none, so 4.0 is one and 4.5 is not.
func (o *object) int64(name string, dst *int64, b bound, limit float64) {
	v, path, ok := o.get(name)
	if !ok {
		return
	}
	x, ok := v.(float64)
	switch {
	case !ok:
		o.d.errorf(path, "%s must be an integer, not %s", path, show(v))
	case x != math.Trunc(x):
		o.d.errorf(path, "%s must be an integer, not %s", path, show(x))
	case !b.ok(x):
		o.d.errorf(path, "%s must be %s, not %s", path, b.text, show(x))
	case x > limit:
		o.d.errorf(path, "%s must be at most %.0f, not %s", path, limit, show(x))
	default:
		*dst = int64(x)
	}
}

// int decodes a size.
func (o *object) int(name string, dst *int, b bound) {
	x := int64(*dst)
	o.int64(name, &x, b, maxSize)
	*dst = int(x)
}

// sizeUpTo decodes a size of at least 1 with a limit of its own.
func (o *object) sizeUpTo(name string, dst *int, limit float64) {
	x := int64(*dst)
	o.int64(name, &x, atLeast(1), limit)
	*dst = int(x)
}

// bool decodes true or false; 0, 1 and strings are neither.
func (o *object) bool(name string, dst *bool) {
	v, path, ok := o.get(name)
	if !ok {
		return
	}
	if *dst, ok = v.(bool); !ok {
		o.d.errorf(path, "%s must be true or false, not %s", path, show(v))
	}
}

// string decodes text, which may be empty.
func (o *object) string(name string, dst *string) {
	v, path, ok := o.get(name)
	if !ok {
		return
	}
	if *dst, ok = v.(string); !ok {
		o.d.errorf(path, "%s must be a string, not %s", path, show(v))
	}
}

// enum is a string of a few.
func (o *object) enum(name string, dst *string, values ...string) {
	v, path, ok := o.get(name)
	if !ok {
		return
	}
	s, isString := v.(string)
	if !isString || !slices.Contains(values, s) {
		o.d.errorf(path, "%s must be %s, not %s", path, orList(values), show(v))
		return
	}
	*dst = s
}

// strings decodes an array of non-empty strings.
// Every wrong element is reported, by its index.
func (o *object) strings(name string, dst *[]string) {
	elems, path, ok := o.array(name)
	if !ok {
		return
	}
	for i, v := range elems {
		s, ok := v.(string)
		p := eval.Elem(path, i)
		if !ok || s == "" {
			o.d.errorf(p, "%s must be a string with characters in it, not %s", p, show(v))
		}
		// Also a wrong one: positions in the list stay those of the document.
		*dst = append(*dst, s)
	}
}

// show prints a value of the document for a message.
// Long strings are cut, and what is inside objects and arrays is left out: the
// position leads to it.
func show(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return strconv.FormatBool(v)
	case float64:
		// As people write integers; beyond, all digits would be a lie.
		if v == math.Trunc(v) && math.Abs(v) < 1e15 {
			return strconv.FormatFloat(v, 'f', -1, 64)
		}
		return strconv.FormatFloat(v, 'g', -1, 64)
	case string:
		const most = 40
		if r := []rune(v); len(r) > most {
			v = string(r[:most]) + "..."
		}
		return "the string " + strconv.Quote(v)
	case []any:
		return "an array"
	}
	return "an object"
}

// article puts a or an in front of a type's name.
func article(noun string) string {
	if strings.ContainsAny(noun[:min(1, len(noun))], "aeiou") {
		return "an " + noun
	}
	return "a " + noun
}

// orList prints "a", "b" or "c".
// It is the end of "must be ...".
func orList(values []string) string {
	q := make([]string, len(values))
	for i, v := range values {
		q[i] = strconv.Quote(v)
	}
	if len(q) < 2 {
		return strings.Join(q, "")
	}
	return strings.Join(q[:len(q)-1], ", ") + " or " + q[len(q)-1]
}

// sortedKeys makes the order of messages that of the alphabet, not of a map.
func sortedKeys[V any](m map[string]V) []string {
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}

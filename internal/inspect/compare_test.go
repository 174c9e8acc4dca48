package inspect

import (
	"slices"
	"testing"
)

// TestCompare flags lines of small functions: what is new, rewritten, gone, and
// what only moved or went into two functions.
func TestCompare(t *testing.T) {
	var lines []*line
	index := func(text string) int {
		for i, l := range lines {
			if l.Text == text {
				return i
			}
		}
		lines = append(lines, &line{Text: text})
		return len(lines) - 1
	}
	function := func(name, head string, texts ...string) *block {
		b := &block{Name: name, Group: groupMain, Head: &row{index(head), 0, -1}}
		for _, x := range texts {
			b.Rows = append(b.Rows, row{index(x), 0, -1})
		}
		return b
	}
	flags := func(b *block) (list []int) {
		for _, r := range b.Rows {
			list = append(list, r[1])
		}
		return list
	}
	check := func(what string, got []int, want ...int) {
		t.Helper()
		if !slices.Equal(got, want) {
			t.Errorf("%s: flags %v, want %v", what, got, want)
		}
	}

	// %b and %c change places, %d is rewritten with a second result, %e goes,
	// %f comes.
	before := function("@loss", "func @loss", "%a = x() : t", "%b = y(%a) : t", "%c = z(%a) : t", "%d = add(%b, %c) : t", "%e = neg(%d) : t", "grad_add(%e, $w)")
	after := function("@loss", "func @loss", "%a = x() : t", "%c = z(%a) : t", "%b = y(%a) : t", "%f, %d = fused(%b, %c) : t, t", "%g = neg(%f) : t", "grad_add(%g, $w)")
	col := &column{}
	compare(col, []*block{before}, []*block{after}, lines)
	check("before", flags(before), 0, 0, 0, flagAltered, flagGone, flagGone)
	check("after", flags(after), 0, 0, 0, flagChanged, flagNew, flagNew)
	if lines[after.Rows[3][2]].Text != "%d = add(%b, %c) : t" {
		t.Errorf("the rewritten line replaced %q", lines[after.Rows[3][2]].Text)
	}
	if col.New != 2 || col.Changed != 1 || col.Gone != 2 {
		t.Errorf("%d new, %d changed, %d gone", col.New, col.Changed, col.Gone)
	}

	// One function becomes two under other names; a line that one of them
	// keeps has not gone.
	old := function("@loss", "func @loss", "%a = x() : t", "%b = y(%a) : t", "%c = z(%b) : t")
	step := function("@step", "func @step", "%a = x() : t", "%b = y(%a) : t", "%d = grad(%b) : t")
	eval := function("@eval", "func @eval", "%a = x() : t", "%c = z(%b) : t")
	compare(&column{}, []*block{old}, []*block{step, eval}, lines)
	check("the function that becomes two", flags(old), 0, 0, 0)
	check("the first of them", flags(step), 0, 0, flagNew)
	check("the second", flags(eval), 0, 0)
	if step.Head[1] != flagChanged || old.Head[1] != flagAltered {
		t.Errorf("heads have flags %d and %d", old.Head[1], step.Head[1])
	}
}

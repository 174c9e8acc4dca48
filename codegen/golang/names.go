package golang

import (
	"go/token"
	"strconv"
	"strings"
	"unicode"

	"github.com/llamac/llamac/ir"
)

// ident turns a name of the IR into a Go identifier: attn.qkv is attnQkv,
// feed_forward.w1_w3 is feedForwardW1W3.
//
// Names of a spec may hold dots, dashes and letters of any script. Letters and
// digits stay; everything else ends a word.
func ident(name string) string {
	var b strings.Builder
	up := false
	for _, r := range name {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			up = b.Len() > 0
			continue
		// Go wants a letter first.
		case b.Len() == 0 && unicode.IsDigit(r):
			b.WriteByte('n')
		}
		if up {
			r = unicode.ToUpper(r)
		}
		b.WriteRune(r)
		up = false
	}
	s := b.String()
	// A keyword, or nothing that could be a name.
	if s == "" || token.IsKeyword(s) {
		s += "_"
	}
	return s
}

// names gives each key a Go identifier of its own.
//
// ident may map two names to one, as a.b and a_b; the second gets a number.
type names struct {
	of    map[any]string
	taken map[string]bool
}

func newNames(reserved ...string) *names {
	n := &names{map[any]string{}, map[string]bool{}}
	for _, r := range reserved {
		n.taken[r] = true
	}
	return n
}

// A key is asked for again and again and always gets the same name; the name is
// that of the first time.
func (n *names) get(key any, name string) string {
	if s, ok := n.of[key]; ok {
		return s
	}
	base := ident(name)
	s := base
	for i := 2; n.taken[s]; i++ {
		s = base + strconv.Itoa(i)
	}
	n.taken[s] = true
	n.of[key] = s
	return s
}

// shape is the comment behind a buffer: [B, T, 64].
//
// The dtype is left out, as all are f32.
func shape(dims []ir.Dim) string {
	return ir.Type{DType: ir.F32, Dims: dims}.String()[len("f32"):]
}

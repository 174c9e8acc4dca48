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
func ident(name string) string {
	var b strings.Builder
	up := false
	for _, r := range name {
		switch {
		case !unicode.IsLetter(r) && !unicode.IsDigit(r):
			up = b.Len() > 0
			continue
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
	if s == "" || token.IsKeyword(s) {
		s += "_"
	}
	return s
}

// names gives each key a Go identifier of its own.
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
func shape(dims []ir.Dim) string {
	return ir.Type{DType: ir.F32, Dims: dims}.String()[len("f32"):]
}

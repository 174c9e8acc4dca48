package main

import (
	"bytes"
	"fmt"
	"strings"
)

// asm collects the text of one assembly file.
//
// It is text and no more: Go's assembler checks the instructions, and `go vet`
// that the functions take the arguments of their Go declarations. Here only
// register numbers are checked.
type asm struct {
	buf bytes.Buffer
}

func (a *asm) line(s string) { a.buf.WriteString(s + "\n") }

// f starts a function. args is the size of its arguments in bytes.
//
// The frame is empty, so that nothing can be spilled and NOSPLIT is safe: the
// functions call nothing.
func (a *asm) f(name, signature string, args int) {
	a.line("")
	a.line("// func " + name + signature)
	a.line(fmt.Sprintf("TEXT ·%s(SB), NOSPLIT, $0-%d", name, args))
}

// op emits one instruction, or several separated by semicolons.
//
// Operands are in the order of Go's assembler, the reverse of Intel's manuals:
// sources first, the destination last.
func (a *asm) op(format string, args ...any) {
	for _, s := range strings.Split(fmt.Sprintf(format, args...), ";") {
		a.line("\t" + strings.TrimSpace(s))
	}
}

// Labels belong to their function, so that functions may use the same names.
func (a *asm) label(format string, args ...any) {
	a.line(fmt.Sprintf(format, args...) + ":")
}

// note emits a comment inside a function.
func (a *asm) note(format string, args ...any) {
	a.line("\t// " + fmt.Sprintf(format, args...))
}

// VZEROUPPER: the compiler's own code uses SSE instructions, which some
// processors slow down as long as the upper parts of registers are in use.
func (a *asm) ret() { a.op("VZEROUPPER; RET") }

// vector is a register width.
//
// AVX2 has 16 registers of 256 bits, AVX-512 has 32 of 512. Kernels are laid
// out for these numbers: a tile is as large as leaves room for what it is made
// of.
type vector struct {
	suffix string // of function names
	reg    string // letter of the registers
	lanes  int    // float32s a register
	count  int    // registers
}

var (
	v256 = vector{"256", "Y", 8, 16}
	v512 = vector{"512", "Z", 16, 32}
)

func (v vector) r(i int) string {
	// A kernel that wants more registers than there are is found when the file
	// is generated, not by wrong results.
	if i < 0 || i >= v.count {
		panic(fmt.Sprintf("asmgen: no register %s%d", v.reg, i))
	}
	return fmt.Sprintf("%s%d", v.reg, i)
}

func (v vector) bytes() int { return 4 * v.lanes }

// zero clears a register.
func (v vector) zero(a *asm, i int) {
	// VXORPS on 512 bits is AVX512DQ; VPXORD does the same with AVX512F alone.
	if v.lanes == 16 {
		a.op("VPXORD %[1]s, %[1]s, %[1]s", v.r(i))
	} else {
		a.op("VXORPS %[1]s, %[1]s, %[1]s", v.r(i))
	}
}

// rowOf addresses row i of four rows at base0 and four at base4, whose
// distance is in ld and three times it in ld3.
//
// An address can hold a base and an index times 1, 2, 4 or 8. So one base
// reaches four rows once the distance times three is in a register, and eight
// rows take two bases that are moved on together.
func rowOf(i int, base0, base4, ld, ld3 string) string {
	base := base0
	if i >= 4 {
		base = base4
	}
	return "(" + base + ")" + []string{"", "(" + ld + "*1)", "(" + ld + "*2)", "(" + ld3 + "*1)"}[i%4]
}

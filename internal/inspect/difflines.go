package inspect

import (
	"fmt"
	"io"
	"strings"
)

// diffLines writes the lines of two texts that differ, "-" from the first and
// "+" from the second, by their longest common subsequence, with the function
// that they stand in.
// It is quadratic and simple; modules are small, since layers are one function.
func diffLines(w io.Writer, a, b string) {
	// The table takes the product of the two lengths: some hundred kilobytes.
	x, y := strings.Split(a, "\n"), strings.Split(b, "\n")
	// common[i][j] is the length of the longest common subsequence of x[i:]
	// and y[j:]; a module has some hundred lines.
	common := make([][]int32, len(x)+1)
	for i := range common {
		common[i] = make([]int32, len(y)+1)
	}
	for i := len(x) - 1; i >= 0; i-- {
		for j := len(y) - 1; j >= 0; j-- {
			if x[i] == y[j] {
				common[i][j] = common[i+1][j+1] + 1
			} else {
				common[i][j] = max(common[i+1][j], common[i][j+1])
			}
		}
	}
	// The function that the lines stand in, and the one that was written last.
	heading, shown := "", ""
	// put writes a line, below the name of its function if that is new.
	put := func(sign, line string) {
		if heading != shown {
			fmt.Fprintf(w, "  %s\n", heading)
			shown = heading
		}
		fmt.Fprintf(w, "%s %s\n", sign, line)
	}
	// Walk from the top, always towards the longer common rest.
	i, j := 0, 0
	for i < len(x) || j < len(y) {
		switch {
		case i < len(x) && j < len(y) && x[i] == y[j]:
			if strings.HasPrefix(x[i], "func ") {
				heading, _, _ = strings.Cut(x[i], "(")
			}
			i, j = i+1, j+1
		// Of two equally good ways the line that went is shown before the one
		// that came.
		case j >= len(y) || i < len(x) && common[i+1][j] >= common[i][j+1]:
			put("-", x[i])
			i++
		default:
			if strings.HasPrefix(y[j], "func ") {
				heading, _, _ = strings.Cut(y[j], "(")
				shown = heading
			}
			put("+", y[j])
			j++
		}
	}
}

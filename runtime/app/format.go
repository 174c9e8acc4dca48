package app

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// count prints a large number to three digits: 3.41 M.
// As papers do: powers of ten.
func count(n int64) string {
	x := float64(n)
	for _, u := range []struct {
		size float64
		name string
		// Limits are where rounding to three digits would give four.
	}{{1e12, " T"}, {1e9, " B"}, {1e6, " M"}, {1e3, " k"}} {
		if x >= 0.9995*u.size {
			return three(x/u.size) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}

// three prints a number with three significant digits, without an exponent.
func three(x float64) string {
	switch a := math.Abs(x); {
	// As above: 99.96 is 100, not 100.0.
	case a >= 99.95:
		return strconv.FormatFloat(x, 'f', 0, 64)
	case a >= 9.995:
		return strconv.FormatFloat(x, 'f', 1, 64)
	}
	return strconv.FormatFloat(x, 'f', 2, 64)
}

// rate prints tokens per second: 18.2k.
//
// The limits are where three digits would become four, as in count.
func rate(x float64) string {
	switch {
	case x >= 999500:
		return three(x/1e6) + "M"
	case x >= 999.5:
		return three(x/1e3) + "k"
	}
	return three(x)
}

// size prints bytes: 61.2 MiB.
func size(n int64) string {
	x, units := float64(n), []string{"bytes", "KiB", "MiB", "GiB", "TiB"}
	// Powers of two, as memory is counted.
	for x >= 1023.5 && len(units) > 1 {
		x, units = x/1024, units[1:]
	}
	if units[0] == "bytes" {
		return fmt.Sprint(n, " bytes")
	}
	return three(x) + " " + units[0]
}

// flops prints a rate of arithmetic: 231 GFLOP/s.
//
// Rates below a million do not occur: a single core does more.
func flops(x float64) string {
	switch {
	case x >= 1e12:
		return three(x/1e12) + " TFLOP/s"
	case x >= 1e9:
		return three(x/1e9) + " GFLOP/s"
	}
	return three(x/1e6) + " MFLOP/s"
}

// span prints a duration by its two largest units: 7m12s.
// Two units are as exact as any estimate.
func span(d time.Duration) string {
	s := int64(d.Round(time.Second) / time.Second)
	switch {
	case d < 0 || s > 1e8: // more than three years is not known
		return "?"
	case s >= 86400:
		return fmt.Sprintf("%dd%02dh", s/86400, s%86400/3600)
	case s >= 3600:
		return fmt.Sprintf("%dh%02dm", s/3600, s%3600/60)
	case s >= 60:
		return fmt.Sprintf("%dm%02ds", s/60, s%60)
	}
	return fmt.Sprintf("%ds", s)
}

// thousands separates groups of digits: 1,048,576.
func thousands(n int64) string {
	s := strconv.FormatInt(n, 10)
	// From the end, and not between the sign and the first digit.
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// sci prints a small number with two digits: 2.9e-04.
func sci(x float64) string { return strconv.FormatFloat(x, 'e', 1, 64) }

// percent prints a share with one decimal below 10 and none above.
//
// From 9.95 % on one decimal would print 10.0%, three digits.
func percent(x float64) string {
	if x < 0.0995 {
		return strconv.FormatFloat(100*x, 'f', 1, 64) + "%"
	}
	return strconv.FormatFloat(100*x, 'f', 0, 64) + "%"
}

// visible makes text safe for a terminal: tabs become four spaces, other
// control characters and broken UTF-8 a replacement.
func visible(s string) string {
	return strings.Map(func(r rune) rune {
		// The C0 and C1 controls: a model may well write an escape sequence.
		if r < ' ' || r == 0x7f || r >= 0x80 && r < 0xa0 {
			return '·'
		}
		return r
	}, strings.ReplaceAll(strings.ToValidUTF8(s, "·"), "\t", "    "))
}

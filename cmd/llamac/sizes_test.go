package main

import (
	"fmt"
	"math/rand/v2"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// A sumRow is a printed row: hundredths of its unit, and bytes.
type sumRow struct {
	name       string
	hundredths int64
	unit       string
	bytes      int64
}

var sumLine = regexp.MustCompile(`(?m)^( *\S.*?)  +(\d+)(?:\.(\d\d))? ([KMGTP]?i?B)(?:  (\d+) bytes)?$`)

// readSums reads rows as people do: a name at the margin is a sum, names behind
// two blanks are its parts.
func readSums(t *testing.T, text string) (rows []sumRow) {
	t.Helper()
	for _, m := range sumLine.FindAllStringSubmatch(text, -1) {
		h, err := strconv.ParseInt(m[2]+m[3], 10, 64)
		b := h
		if err == nil && m[5] != "" {
			b, err = strconv.ParseInt(m[5], 10, 64)
		}
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, sumRow{m[1], h, m[4], b})
	}
	return rows
}

// addUp holds each sum to the rows below it and gives the number of sums.
func addUp(t *testing.T, what string, rows []sumRow) (sums int) {
	t.Helper()
	for i := 0; i < len(rows); {
		sum := rows[i]
		left, bytes := sum.hundredths, sum.bytes
		for i++; i < len(rows) && strings.HasPrefix(rows[i].name, "  "); i++ {
			left, bytes = left-rows[i].hundredths, bytes-rows[i].bytes
			if rows[i].unit != sum.unit {
				t.Errorf("%s: %s is in %s, its sum in %s", what, rows[i].name, rows[i].unit, sum.unit)
			}
		}
		if left != 0 || bytes != 0 {
			t.Errorf("%s: the rows of %s leave %d hundredths and %d bytes", what, sum.name, left, bytes)
		}
		sums++
	}
	return sums
}

// What is printed adds up, and no row is off by a place.
func TestSumRows(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		var parts []part
		for i := range 1 + r.IntN(9) {
			parts = append(parts, part{fmt.Sprint("p", i), r.Int64N(1 << (1 + r.IntN(58)))})
		}
		var text strings.Builder
		sumRows("sum", parts, func(name, value string) { fmt.Fprintf(&text, "%-12s  %s\n", name, value) })
		rows := readSums(t, text.String())
		if len(rows) != len(parts)+1 || addUp(t, "drawn", rows) != 1 {
			t.Fatalf("%v prints as\n%s", parts, &text)
		}
		unit := map[string]float64{"B": 100, "KiB": 1 << 10, "MiB": 1 << 20, "GiB": 1 << 30, "TiB": 1 << 40, "PiB": 1 << 50}[rows[0].unit]
		for _, row := range rows {
			if off := float64(row.hundredths) - float64(row.bytes)*100/unit; off >= 1 || off <= -1 {
				t.Errorf("%d bytes print as %d hundredths of %s", row.bytes, row.hundredths, row.unit)
			}
		}
	}
}

// Both sums of llamac plan are those of the rows below them, to the last place.
func TestPlanAddsUp(t *testing.T) {
	for _, args := range [][]string{{"gopher.jsonnet"}, {"65b.jsonnet"}, {"tiny_mha.jsonnet"}, {"stories260k.jsonnet"}, {"7b.jsonnet", "--set", "precision.compute=bf16"},
		{"7b.jsonnet", "--set", "checkpoint.policy=auto", "--set", "checkpoint.budget=8GiB"}} {
		args[0] = filepath.Join(specDir(t), args[0])
		out, err := exec.Command("llamac", append([]string{"plan"}, args...)...).CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
		memory, _, _ := strings.Cut(string(out), "\nactivations")
		if n := addUp(t, strings.Join(args, " "), readSums(t, memory)); n != 2 {
			t.Errorf("%v: %d sums, want one for training and one for inference:\n%s", args, n, out)
		}
	}
}

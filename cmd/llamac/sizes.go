package main

import (
	"cmp"
	"fmt"
	"slices"
)

// part is one row of a sum of bytes.
type part struct {
	name  string
	bytes int64
}

// sumRows prints a sum and its parts, all in the unit that suits the sum, so
// that a reader can add up what is printed.
//
// Parts that are rounded one by one need not add up to the rounded sum. Here the
// sum is rounded, each part is cut off, and the last places that are missing go
// to the parts that lost most by the cut: none is off by a whole place.
func sumRows(name string, parts []part, row func(name, value string)) {
	var sum int64
	for _, p := range parts {
		sum += p.bytes
	}
	unit, label := int64(1), "B"
	for _, l := range []string{"KiB", "MiB", "GiB", "TiB", "PiB"} {
		if sum/1024 < 10*unit { // a part of a few of the next would lose its places
			break
		}
		unit, label = unit*1024, l
	}
	// Two places of decimals, in hundredths of the unit; bytes have none.
	places := int64(100)
	if unit == 1 {
		places = 1
	}
	// Apart, since a hundred times the bytes of the largest plans is too much.
	whole := func(n int64) (hundredths, rest int64) {
		q, r := n/unit, n%unit
		return q*places + r*places/unit, r * places % unit
	}
	total, rest := whole(sum)
	if 2*rest >= unit {
		total++
	}
	cut := make([]int64, len(parts))
	lost := make([]int64, len(parts))
	missing := total
	for i, p := range parts {
		cut[i], lost[i] = whole(p.bytes)
		missing -= cut[i]
	}
	order := make([]int, len(parts))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(lost[b], lost[a]) })
	for _, i := range order[:max(0, min(missing, int64(len(order))))] {
		cut[i]++
	}
	// Under each other, and the exact number behind.
	print := func(name string, hundredths, bytes int64) {
		if places == 1 {
			row(name, fmt.Sprintf("%9d B", bytes))
			return
		}
		row(name, fmt.Sprintf("%9s %s  %d bytes", fmt.Sprintf("%d.%02d", hundredths/places, hundredths%places), label, bytes))
	}
	print(name, total, sum)
	for i, p := range parts {
		print("  "+p.name, cut[i], p.bytes)
	}
}

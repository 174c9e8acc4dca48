package app

import (
	"encoding/xml"
	"fmt"
	"io"
	"math"
	"os"
	"strings"
	"testing"
)

// falling is a history of n steps whose loss falls from 11 towards 1.
func falling(n, evalEvery int) []record {
	var h []record
	for i := 1; i <= n; i++ {
		r := record{Step: i, Loss: 1 + 10*math.Exp(-5*float64(i)/float64(n)) + 0.1*math.Sin(float64(7*i))}
		if due(i, evalEvery) {
			v := r.Loss + 0.05
			r.ValLoss = &v
		}
		h = append(h, r)
	}
	return h
}

// wellFormed parses XML and counts elements by name.
func wellFormed(t *testing.T, b []byte) map[string]int {
	t.Helper()
	counts := map[string]int{}
	for d := xml.NewDecoder(strings.NewReader(string(b))); ; {
		tok, err := d.Token()
		if err == io.EOF {
			return counts
		}
		if err != nil {
			t.Fatalf("not XML: %v\n%s", err, b)
		}
		if e, ok := tok.(xml.StartElement); ok {
			counts[e.Name.Local]++
		}
	}
}

// TestLossCurve draws histories of all lengths and odd values: always XML, no
// coordinate that is not a number, none outside the picture.
func TestLossCurve(t *testing.T) {
	flat := falling(5, 0)
	for i := range flat {
		flat[i].Loss = 2
	}
	zero := falling(3, 1)
	zero[1].Loss = 0
	for name, h := range map[string][]record{
		"one step": falling(1, 0), "one step evaluated": falling(1, 1), "two": falling(2, 1), "twenty": falling(20, 5),
		"four hundred": falling(420, 30), "many": falling(100000, 100), "flat": flat, "zero": zero,
	} {
		b := lossCurve("a <model> & more", "1 & 2", 2*len(h), h)
		// The number is the one of the last row on the screen.
		if want := fmt.Sprintf(">%.4f last step<", h[len(h)-1].Loss); !strings.Contains(string(b), want) {
			t.Errorf("%s: lacks %s", name, want)
		}
		if n := wellFormed(t, b)["polyline"]; n < 2 {
			t.Errorf("%s: %d curves", name, n)
		}
		for _, word := range []string{"NaN", "Inf"} {
			if strings.Contains(string(b), word) {
				t.Errorf("%s: holds %s", name, word)
			}
		}
		if len(b) > 100<<10 {
			t.Errorf("%s: %d bytes", name, len(b))
		}
	}
	if dir := os.Getenv("LLAMAC_PLOT_DIR"); dir != "" { // to look at it
		os.WriteFile(dir+"/loss.svg", lossCurve("model", "an example", 3000, falling(2000, 100)), 0o644)
	}
}

// TestSmooth keeps a straight line and removes most of a zigzag.
func TestSmooth(t *testing.T) {
	p := make([]plotPoint, 300)
	for i := range p {
		p[i].mean = 3 - 0.01*float64(i) + 0.2*float64(i%2*2-1)
	}
	for i, y := range smooth(p) {
		if d := math.Abs(y - (3 - 0.01*float64(i))); d > 0.07 {
			t.Errorf("point %d: %.3f away from the line", i, d)
		}
	}
	// What is drawn stays: points that come later do not move the line's end.
	for n := 270; n < 300; n++ {
		for i, y := range smooth(p[:n]) {
			if longer := smooth(p[:n+min(20, 299-n)])[i]; y != longer {
				t.Fatalf("%d points: point %d is %v, and later %v", n, i, y, longer)
			}
		}
	}
	for n := range 5 {
		for i, y := range smooth(p[:n]) {
			if !finite(y) {
				t.Errorf("%d points: point %d is %v", n, i, y)
			}
		}
	}
}

package plot

import (
	"encoding/xml"
	"io"
	"strings"
	"testing"
)

// TestSVG draws every shape with texts that are not XML by themselves.
func TestSVG(t *testing.T) {
	p := New(100, 50, `a "label" & <more>`, []Style{{Name: "curve", Stroke: "#ff0000", DarkStroke: "#aa0000", Width: 2, Dash: "4 3", Opacity: 0.5}})
	p.Line("curve", Point{1, 2}, Point{3.14, 4})
	p.Circle("curve", Point{5, 6}, 3.5)
	p.Text("label", Point{7, 8}, "end", "1 < 2 & 3")
	p.Turned("label", Point{9, 10}, "up")
	got := string(p.SVG())
	d := xml.NewDecoder(strings.NewReader(got))
	for {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatalf("%v\n%s", err, got)
		}
	}
	for _, want := range []string{
		`aria-label="a &#34;label&#34; &amp; &lt;more&gt;"`, `<polygon class="page" points="0.0,0.0 100.0,0.0 100.0,50.0 0.0,50.0"/>`,
		`<polyline class="curve" points="1.0,2.0 3.1,4.0"/>`, `<circle class="curve" cx="5.0" cy="6.0" r="3.5"/>`,
		`<text class="label" x="7.0" y="8.0" text-anchor="end">1 &lt; 2 &amp; 3</text>`, `rotate(-90)" text-anchor="middle">up</text>`,
		".curve { fill:none; stroke:#ff0000; stroke-width:2; stroke-linejoin:round; stroke-dasharray:4 3; opacity:0.5 }", "    .curve { stroke:#aa0000 }",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
}

// TestTicks wants a handful of round, rising values inside the range.
func TestTicks(t *testing.T) {
	for _, r := range [][2]float64{{1, 11}, {2.3, 2.31}, {0.9, 1.1}, {0.001, 12}, {3, 9}, {1e-6, 1e3}, {2.6, 5.6}, {11.5, 140}} {
		for name, ticks := range map[string][]float64{"logarithmic": LogTicks(r[0], r[1]), "linear": Ticks(r[0], r[1], 8)} {
			if len(ticks) < 2 || len(ticks) > 10 {
				t.Errorf("%v: %s ticks %v", r, name, ticks)
			}
			for i, v := range ticks {
				if v < r[0]*(1-1e-9) || v > r[1]*(1+1e-9) || i > 0 && v <= ticks[i-1] {
					t.Errorf("%v: %s ticks %v", r, name, ticks)
				}
			}
		}
	}
}

package app

import (
	"bytes"
	"math/rand/v2"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

var escape = regexp.MustCompile("\x1b\\[[0-9;]*[A-Za-z]")

// fakeScreen writes to memory; its clock moves by a second each time it is
// asked.
func fakeScreen(w *bytes.Buffer, tty, color bool, width int) *screen {
	at := time.Unix(0, 0)
	return &screen{w: w, tty: tty, color: color, width: func() int { return width }, now: func() time.Time {
		at = at.Add(time.Second)
		return at
	}}
}

func someProgress(r *rand.Rand) progress {
	val, bits := 5*r.Float64(), 3*r.Float64()
	p := progress{steps: 1 + r.IntN(1e7), pace: 1e7 * float64(r.IntN(3)) * r.Float64(), left: time.Duration(r.IntN(1e7)) * time.Second, first: 10,
		record: record{Loss: 10 * r.Float64(), LR: r.Float64(), GradNorm: 100 * r.Float64(), MFU: r.Float64()}}
	p.Step = 1 + r.IntN(p.steps)
	if r.IntN(2) == 0 {
		p.lastVal = &record{Step: p.Step, ValLoss: &val, BitsPerByte: &bits}
	}
	return p
}

// TestBarFits draws bars of any progress at any width: never a line too long,
// which would wrap, and whole in the fields that it shows.
func TestBarFits(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 5000 {
		width := 24 + r.IntN(200)
		s := fakeScreen(&bytes.Buffer{}, true, r.IntN(2) == 0, width)
		s.last = someProgress(r)
		s.what = []string{"", "training", "evaluating"}[r.IntN(3)]
		s.part = r.Float64()
		bar := escape.ReplaceAllString(s.bar(), "")
		if n := utf8.RuneCountInString(bar); n > width-3 {
			t.Fatalf("width %d: a bar of %d: %q", width, n, bar)
		}
	}
	s := fakeScreen(&bytes.Buffer{}, true, false, 160)
	val, bits := 2.5009, 1.8304
	v := &record{Step: 400, ValLoss: &val, BitsPerByte: &bits}
	s.last = progress{record: record{Step: 412, Loss: 2.41338, LR: 2.9e-4, GradNorm: 0.8312, MFU: 0.413}, steps: 2000, pace: 18234, left: 432 * time.Second, first: 5.5, lastVal: v}
	want := " ━━━━━━━━································  step 412/2,000  loss 2.413  val 2.501  1.830 bits/byte  lr 2.9e-04  grad 0.83  18.2k tok/s  MFU 41%  7m12s left"
	if got := s.bar(); got != want {
		t.Errorf("bar\n%q, want\n%q", got, want)
	}
	s.width = func() int { return 80 }
	want = " ━·····  412/2000  loss 2.41  val 2.50  1.83 b/B  g 0.83  18.2k/s  41%  7m12s"
	if got := s.bar(); got != want {
		t.Errorf("short bar\n%q, want\n%q", got, want)
	}
}

// TestPlainLines holds no escape sequence and no carriage return; neither
// does any other output without a terminal.
func TestPlainLines(t *testing.T) {
	var w bytes.Buffer
	s := fakeScreen(&w, false, false, 80)
	play(s, 100)
	if strings.ContainsAny(w.String(), "\x1b\r") {
		t.Errorf("escapes in plain lines: %q", w.String())
	}
	if n := strings.Count(w.String(), "2.5000"); n < 8 || n > 20 {
		t.Errorf("%d lines for 100 steps, a second apart:\n%s", n, w.String())
	}
	w.Reset()
	play(fakeScreen(&w, false, false, 80), fewSteps)
	if n := strings.Count(w.String(), "2.5000"); n != fewSteps {
		t.Errorf("%d lines for %d steps", n, fewSteps)
	}
}

// play shows a run of n steps.
func play(s *screen, n int) {
	s.start(header{title: "model", rows: [][2]string{{"a", "b"}}})
	for i := 1; i <= n; i++ {
		s.phase("training", 0, 2)
		s.phase("training", 1, 2)
		p := progress{record: record{Step: i, Loss: 2.5}, steps: n, first: 5, pace: 1}
		if i == n {
			val := 2.4
			p.ValLoss = &val
			p.lastVal = &p.record
		}
		s.step(p)
	}
	s.note("a note")
	s.sample(n, 1, "path", "some text")
	s.done(summary{finished: true, step: n, steps: n, last: &record{Step: n}, next: "go"})
}

// TestTerminal erases the bar before each line that stays and leaves none at
// the end; NO_COLOR leaves only the codes that move and erase.
func TestTerminal(t *testing.T) {
	for _, color := range []bool{true, false} {
		var w bytes.Buffer
		play(fakeScreen(&w, true, color, 100), 100)
		if got := strings.Contains(w.String(), "\x1b[36m"); got != color {
			t.Errorf("colour %v, want %v", got, color)
		}
		if !color {
			for _, e := range escape.FindAllString(w.String(), -1) {
				if e != "\x1b[K" {
					t.Errorf("escape %q without colour", e)
				}
			}
		}
		// What stays on the screen: of each line, what follows its last return.
		for line := range strings.SplitSeq(strings.TrimSuffix(w.String(), "\n"), "\n") {
			line = line[strings.LastIndex(line, "\r")+1:]
			if strings.Contains(line, "━") {
				t.Errorf("a bar stays: %q", line)
			}
		}
	}
}

// TestTextIsHarmless shows text of a model that has learned escape sequences.
func TestTextIsHarmless(t *testing.T) {
	var w bytes.Buffer
	s := fakeScreen(&w, true, false, 60)
	s.sample(1, 1, "path", "a\x1b[2Jb\x07\rc\x9bd\xff\tend\n\n"+strings.Repeat("long ", 200)+"\n漢字"+strings.Repeat("漢", 90))
	out := w.String()
	if strings.ContainsAny(out, "\x1b\x07\r\t") || strings.Contains(out, "\u009b") || !utf8.ValidString(out) {
		t.Errorf("harmful: %q", out)
	}
	if !strings.Contains(out, "a·[2Jb··c") {
		t.Errorf("%q", out)
	}
	for line := range strings.Lines(out) {
		wide := 0
		for _, r := range strings.TrimSuffix(line, "\n") {
			wide += columnsOf(r)
		}
		if wide > 60 {
			t.Errorf("%d columns: %q", wide, line)
		}
	}
	if n := strings.Count(out, "│"); n != 8 {
		t.Errorf("%d lines of text, want 8", n)
	}
	wide := excerpt(strings.Repeat("漢", 90), 20, 50)
	if len(wide) != 9 || utf8.RuneCountInString(wide[0]) != 10 {
		t.Errorf("wide characters: %q", wide)
	}
}

// TestNumbers checks how numbers are printed.
func TestNumbers(t *testing.T) {
	for got, want := range map[string]string{
		count(999): "999", count(1000): "1.00 k", count(999499): "999 k", count(6738415616): "6.74 B", count(1.4e12): "1.40 T", count(999999): "1.00 M",
		size(0): "0 bytes", size(1023): "1023 bytes", size(1 << 20): "1.00 MiB", size(131072 << 20): "128 GiB",
		rate(12.345): "12.3", rate(999.9): "1.00k", rate(18234): "18.2k", rate(2.5e6): "2.50M",
		flops(230e9): "230 GFLOP/s", flops(1.5e12): "1.50 TFLOP/s",
		span(0): "0s", span(59600 * time.Millisecond): "1m00s", span(432 * time.Second): "7m12s", span(3661 * time.Second): "1h01m", span(50 * time.Hour): "2d02h", span(-1): "?",
		thousands(0): "0", thousands(999): "999", thousands(1000): "1,000", thousands(-1234567): "-1,234,567",
		percent(0.413): "41%", percent(0.0449): "4.5%", sci(0.00029): "2.9e-04",
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

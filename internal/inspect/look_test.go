package inspect_test

import (
	"flag"
	"path/filepath"
	"strings"
	"testing"
)

var shots = flag.String("shots", "", "folder for pictures of the page")

// TestPageRuns opens the page in a browser, clicks, and looks whether what was
// clicked lights up where it must. The page may throw nothing and ask for
// nothing.
func TestPageRuns(t *testing.T) {
	b := startBrowser(t)
	file := save(t, html(t, "tiny_gqa.jsonnet"))
	b.open(file, "", 1400, 900, "light")
	count := func(selector string) (n int) {
		t.Helper()
		b.eval("$$(`"+selector+"`).length", &n)
		return n
	}
	text := func(selector string) (s string) {
		t.Helper()
		b.eval("$(`"+selector+"`).textContent", &s)
		return s
	}
	var columns int
	b.eval("pipeline().columns.length", &columns)
	if n := count("#columns > .col"); n != columns+1 {
		t.Errorf("%d columns for %d passes and the code", n, columns)
	}

	// The scores of attention are there up to fuse_attention, which takes them
	// into %attn.o.rows; from there on, that is followed.
	b.click(`#columns > [data-c="0"] .r[data-d="l%attn.s"] [data-v="l%attn.s"]`)
	var own, into []int
	b.eval("pipeline().columns.map((c, i) => $$(`#columns > [data-c=\"${i}\"] .on`).length)", &own)
	b.eval("pipeline().columns.map((c, i) => $$(`#columns > [data-c=\"${i}\"] .into`).length)", &into)
	var names []string
	b.eval("pipeline().columns.map((c) => c.pass)", &names)
	gone := false
	for i, name := range names {
		gone = gone || name == "fuse_attention"
		if gone != (own[i] == 0) || gone != (into[i] > 0) {
			t.Errorf("%s: %d places of the value itself, %d of what it went into", name, own[i], into[i])
		}
	}
	if s := text("#follow"); !strings.Contains(s, "went into %attn.o.rows") || !strings.Contains(s, "d.Attention(") || !strings.Contains(s, "act.train") {
		t.Errorf("the story of %%attn.s is %q", s)
	}
	if n := count(`#columns > .code .def`); n == 0 {
		t.Error("no line of code is marked")
	}
	if n := count("#map .on"); n != 1 {
		t.Errorf("%d buffers are marked in the map", n)
	}
	var hash string
	b.eval("location.hash", &hash)
	if hash != "#v=l%25attn.s" {
		t.Errorf("the address ends in %s", hash)
	}
	// Each column has the line at the clicked line's height, as far as it can
	// scroll.
	var off float64
	b.eval(`(() => { const y = (i, k) => definition(i, k).getBoundingClientRect().top; return y(0, "l%attn.s") - y(4, "l%attn.o.rows"); })()`, &off)
	if off < -2 || off > 2 {
		t.Errorf("the line is %g pixels lower in fuse_attention", -off)
	}

	// A buffer of the map, the other pipeline, the filter, the other view.
	b.click(`#map rect[data-b="b:micro_step/ffn.gu"]`)
	if s := text("#follow"); !strings.Contains(s, "buffer of micro_step") || !strings.Contains(s, "%ffn.u") {
		t.Errorf("the buffer's story is %q", s)
	}
	b.click(`#views [data-s="step"]`)
	if n := count(`#map rect[data-b="b:micro_step/ffn.gu"]`); n != 2 {
		t.Errorf("%d copies of a stored buffer for 2 layers", n)
	}
	b.eval(`$("#filter input").value = "swiglu"; applyFilter()`, nil)
	var shown, matching int
	b.eval(`$$("#columns .r:not([hidden])").length`, &shown)
	b.eval(`$$("#columns .r").filter((r) => /swiglu/i.test(r.textContent)).length`, &matching)
	if shown != matching || shown == 0 {
		t.Errorf("the filter shows %d lines of %d", shown, matching)
	}
	b.eval(`$("#filter input").value = ""; applyFilter()`, nil)
	b.click(`#modes [data-s="infer"]`)
	b.click(`#columns > [data-c="0"] [data-v="l%attn.k"]`)
	if s := text("#follow"); !strings.Contains(s, "infer.go:") || !strings.Contains(s, "decode") {
		t.Errorf("the story of %%attn.k in inference is %q", s)
	}
	// Whatever is selected, nothing breaks; a third of it is enough.
	b.eval(`for (const p of data.pipelines) {
		state.mode = p.mode;
		draw();
		[...new Set($$("[data-v],[data-b]").flatMap((e) => [e.dataset.v, e.dataset.b]))].filter((k, i) => k && i % 3 === 0).forEach((k) => {
			select(k, null);
			if (/undefined|NaN/.test($("#follow").textContent)) throw new Error(k + ": " + $("#follow").textContent);
		});
	}`, nil)
	for _, e := range b.errors {
		t.Error(e)
	}
}

// TestLargeOpensAtOnce measures how long the 65B page takes from its first
// byte to standing there. The limit leaves room for a busy machine.
func TestLargeOpensAtOnce(t *testing.T) {
	b := startBrowser(t)
	file := save(t, html(t, "65b.jsonnet"))
	b.open(file, "#v=l%25attn.qr", 1400, 900, "light")
	var ms, follow float64
	b.eval(`performance.getEntriesByType("navigation")[0].domComplete`, &ms)
	b.eval(`(() => { const t = performance.now(); select("l%attn.kr", null); document.body.offsetHeight; return performance.now() - t; })()`, &follow)
	t.Logf("there after %.0f ms; following another value takes %.0f ms", ms, follow)
	if ms > 5000 {
		t.Errorf("the page takes %.0f ms to open", ms)
	}
}

// TestShots draws the page for people to look at: go test -run Shots -shots DIR.
func TestShots(t *testing.T) {
	if *shots == "" {
		return // nobody asks for pictures
	}
	b := startBrowser(t)
	small, large := save(t, html(t, "tiny_gqa.jsonnet")), save(t, html(t, "65b.jsonnet"))
	column := func(i string) func() { return func() { b.eval("showColumn("+i+")", nil) } }
	for _, s := range []struct {
		name, file, hash string
		width            int
		scheme           string
		then             func()
	}{
		{"first", large, "", 1400, "light", nil},
		{"follow", large, "#v=l%25attn.qr", 1400, "light", nil},
		{"fused", large, "#v=l%25attn.s", 1400, "light", column("3")},
		{"plan", small, "#v=l%25attn.kr", 1400, "light", column("pipeline().columns.length - 1")},
		{"step", large, "#view=step&v=l%25attn.qr", 1400, "light", column("10")},
		{"bare", large, "#v=l%25attn.k", 1400, "light", func() { b.click("#shapes"); column("3")() }},
		{"filter", large, "#v=b:micro_step/attn.qkv", 1400, "light", func() { b.eval(`$("#filter input").value = "rope"; applyFilter()`, nil) }},
		{"infer", small, "#mode=infer&v=l%25attn.o.rows", 1400, "light", column("9")},
		{"dark", large, "#v=l%25attn.qr", 1400, "dark", column("3")},
		{"dark-step", small, "#v=l%25attn.qr&view=step", 1400, "dark", column("13")},
		{"narrow", small, "#v=l%25attn.qr", 420, "light", nil},
		{"narrow-dark", large, "#v=l%25attn.qr", 420, "dark", func() { b.eval(`scrollTo(0, 700)`, nil) }},
	} {
		b.open(s.file, s.hash, s.width, 900, s.scheme)
		if s.then != nil {
			s.then()
		}
		b.eval(`new Promise(r => setTimeout(r, 150))`, nil)
		b.shot(filepath.Join(*shots, s.name+".png"))
	}
	for _, e := range b.errors {
		t.Error(e)
	}
}

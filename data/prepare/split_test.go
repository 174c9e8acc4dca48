package prepare

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/llamac/llamac/data"
)

// One file, and a few, are split for every share; both parts together are the
// text, and the vocabulary is learned from the first.
func TestSplitOfFewFiles(t *testing.T) {
	var long strings.Builder
	for i := range 2000 {
		fmt.Fprintf(&long, "line %d of a text\n", i)
	}
	for _, files := range []int{1, 2, 14} {
		for _, share := range []float64{0.005, 0.05, 0.1, 0.5, 0.9, 0.999} {
			dir := t.TempDir()
			all := map[string]string{}
			for i := range files {
				name := fmt.Sprintf("%02d.txt", i)
				all[name] = fmt.Sprintf("text %d\n", i) + long.String()
				put(t, dir, name, []byte(all[name]))
			}
			cfg := Config{Sources: []Source{{Name: "s", Share: 1, Kind: "files", Paths: []string{"*"}}}, Tokenizer: byteTok{},
				AddBOS: true, AddEOS: true, Validation: share, Base: dir, OutDir: t.TempDir()}
			set := run(t, cfg)
			got := map[string]string{}
			var texts, learned string
			must(t, set.Documents(func(d *data.Document) bool {
				ids := d.Read(nil)
				text := string(byteTok{}.Decode(nil, ids))
				if ids[0] != 256 || d.HeldOut && ids[len(ids)-1] != 257 {
					t.Errorf("%s begins with %d and ends with %d", d.Name, ids[0], ids[len(ids)-1])
				}
				if !d.HeldOut {
					texts += text
				}
				got[d.Name] += text // training comes first
				return true
			}))
			for name := range all {
				if got[name] != all[name] {
					t.Errorf("%d files, %g: %s comes out as %d bytes, want %d", files, share, name, len(got[name]), len(all[name]))
				}
			}
			s := set.Manifest.Sources[0]
			total := s.Train.Bytes + s.HeldOut.Bytes
			if held := float64(s.HeldOut.Bytes) / float64(total); s.Train.Bytes == 0 || held < share/2 || held > 2*share || held > 1-(1-share)/2 {
				t.Errorf("%d files, %g: %g are held out by %s", files, share, held, s.Split)
			}
			if files == 1 && s.Split != splitPosition {
				t.Errorf("one file is split by %s", s.Split)
			}
			_, docs, err := Texts(context.Background(), cfg)
			must(t, err)
			for text, err := range docs {
				must(t, err)
				learned += string(text)
			}
			if learned != texts {
				t.Errorf("%d files, %g: the vocabulary is learned from %d bytes, training has %d", files, share, len(learned), len(texts))
			}
		}
	}
}

// One file that is most of a text of many is not held out whole because its name
// says so.
func TestSplitOfUnequalFiles(t *testing.T) {
	const share = 0.3
	for _, large := range []bool{true, false} { // what the large file's name says
		dir := t.TempDir()
		for i := range 200 {
			put(t, dir, fmt.Sprintf("%03d.txt", i), []byte(strings.Repeat("some words of a text\n", 5)))
		}
		name := ""
		for i := 0; name == "" || heldOut(name, share) != large; i++ {
			name = fmt.Sprintf("large%d.txt", i)
		}
		put(t, dir, name, []byte(strings.Repeat("most of the words of it\n", 20000)))
		set := run(t, Config{Sources: []Source{{Name: "s", Share: 1, Kind: "files", Paths: []string{"*"}}}, Tokenizer: byteTok{},
			AddBOS: true, AddEOS: true, Validation: share, Base: dir, OutDir: t.TempDir()})
		s := set.Manifest.Sources[0]
		if held := float64(s.HeldOut.Bytes) / float64(s.Train.Bytes+s.HeldOut.Bytes); held < share/4 || held > 1-(1-share)/4 {
			t.Errorf("%s: %g of the text are held out by %s, want %g", name, held, s.Split, share)
		}
	}
}

// With enough documents, a book beside them stays whole; a source that would be
// held out whole is cut.
func TestSplitOfMixture(t *testing.T) {
	dir := t.TempDir()
	for i := range 200 {
		put(t, dir, fmt.Sprintf("many/%d.txt", i), []byte("some text of a document\n"))
	}
	var kept, held string
	for i := 0; kept == "" || held == ""; i++ {
		if name := fmt.Sprintf("%d.txt", i); heldOut(name, 0.3) {
			held = name
		} else {
			kept = name
		}
	}
	put(t, dir, "kept/"+kept, []byte("a book\nof lines\nand lines\n"))
	put(t, dir, "held/"+held, []byte("a book\nof lines\nand lines\n"))
	var lines strings.Builder
	for i := range 3 {
		fmt.Fprintf(&lines, "{\"text\": \"line %d\"}\n", i)
	}
	put(t, dir, "few/x.jsonl", []byte(lines.String()))
	cfg := Config{Tokenizer: byteTok{}, Validation: 0.3, Base: dir, OutDir: t.TempDir(), Sources: []Source{
		{Name: "many", Share: 1, Kind: "files", Paths: []string{"many/*"}}, {Name: "kept", Share: 1, Kind: "files", Paths: []string{"kept/*"}},
		{Name: "held", Share: 1, Kind: "files", Paths: []string{"held/*"}}}}
	set := run(t, cfg)
	for i, want := range []string{splitDocuments, splitDocuments, splitPosition} {
		if s := set.Manifest.Sources[i]; s.Split != want || s.Train.Tokens == 0 || (s.HeldOut.Tokens > 0) != (s.Name != "kept") {
			t.Errorf("source %s is split by %s, want %s, %d and %d tokens", s.Name, s.Split, want, s.Train.Tokens, s.HeldOut.Tokens)
		}
	}
	cfg.Sources, cfg.OutDir = []Source{{Name: "few", Share: 1, Kind: "jsonl", Field: "text", Paths: []string{"few/*"}, MaxBytes: 7}}, t.TempDir()
	cfg.Validation = 0.01
	set = run(t, cfg)
	// Two lines begin within 7 bytes, and their ends go with them.
	if s := set.Manifest.Sources[0]; s.Split != splitPosition || s.Train.Bytes+s.HeldOut.Bytes != 12 || s.Beyond.Bytes != 6 {
		t.Errorf("with a limit: %+v", s)
	}
}

func TestSplitAt(t *testing.T) {
	for _, c := range []struct {
		text  string
		share float64
		want  int
	}{
		{"", 0.5, 0},
		{"a", 0.5, 1},
		{"ab", 0.5, 1},
		{"ab", 0.999, 1},
		{"aaaaaaaaa\nbbbbbbbbb\n", 0.5, 10},
		{"aaaaaaaaaaaa\nbbbbbb\n", 0.5, 13},
		{"aaaaaaa\nbbbbbbbbbbb\n", 0.5, 8},
		{"aaaaaaaa bbbbbbbbbbb", 0.5, 9},
		{"ééééé", 0.5, 6},
		{"aaaaaaaaaa", 0.01, 10},
	} {
		if got := splitAt([]byte(c.text), c.share); got != c.want {
			t.Errorf("%q at %g: %d, want %d", c.text, c.share, got, c.want)
		}
	}
	text := []byte(strings.Repeat("日本語 text\r\n", 50))
	for share := 0.001; share < 1; share += 0.013 {
		at := splitAt(text, share)
		if at < 1 || !utf8.Valid(text[:at]) {
			t.Errorf("at %g the text is cut at %d", share, at)
		}
	}
}

// A source without text is an error that says why, and leaves no set.
func TestNoText(t *testing.T) {
	for want, text := range map[string]string{
		`source "s" has no text to train on; of its file: 1 empty`:        "",
		`source "s" has no text to train on; of its file: no text: `:      "GIF89a\x00\x01",
		`source "s" has no text to train on; of its file: no text: DIR/x`: "ab\x00\x01",
	} {
		dir := t.TempDir()
		put(t, dir, "x", []byte(text))
		cfg := Config{Sources: []Source{{Name: "s", Share: 1, Kind: "files", Paths: []string{"*"}}}, Tokenizer: byteTok{}, Base: dir, OutDir: t.TempDir()}
		_, err := Run(context.Background(), cfg, nil)
		if err == nil || !strings.HasPrefix(strings.ReplaceAll(err.Error(), dir, "DIR"), want) {
			t.Errorf("%q: error is %v", text, err)
		}
		if _, err := os.Stat(cfg.OutDir + "/" + data.ManifestFile); err == nil {
			t.Error("there is a set")
		}
	}
}

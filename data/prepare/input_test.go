package prepare

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/llamac/llamac/data"
)

// wet builds a WET file. A record whose length is negative lies about it.
func wet(records ...[3]string) []byte {
	var b bytes.Buffer
	for _, r := range records {
		fmt.Fprintf(&b, "WARC/1.0\r\nWARC-Type: %s\r\nWARC-Target-URI: %s\r\nContent-Length: %d\r\n\r\n%s\r\n\r\n", r[0], r[1], len(r[2]), r[2])
	}
	return b.Bytes()
}

// window is a frame of zstd that says that it was made with a window of 2^log
// bytes, and holds "wide" as a raw block.
func window(t testing.TB, log int) []byte {
	return append([]byte{0x28, 0xb5, 0x2f, 0xfd, 0, byte(log-10) << 3, 4<<3 | 1, 0, 0}, "wide"...)
}

// bz2 is "one\n", by bzip2 -9.
var bz2 = []byte("\x42\x5a\x68\x39\x31\x41\x59\x26\x53\x59\x78\x13\xc0\x82\x00\x00\x01\xc1\x00\x00\x10\x02\x01\xa0\x00\x21\x9a\x68\x33\x4d\x0c\xbc\x5d\xc9\x14\xe1\x42\x41\xe0\x4f\x02\x08")

// Broken input, the error it gives, and what --skip-bad keeps of it.
func TestBrokenInput(t *testing.T) {
	jsonl := []byte("{\"text\": \"one\"}\n\n{\"text\": \"two\"}\n")
	pages := wet([3]string{"warcinfo", "", "made by us"}, [3]string{"conversion", "http://a", "eins"}, [3]string{"conversion", "http://b", "zwei"})
	long := bytes.Repeat([]byte("{\"text\": \"incompressible 0123456789\"}\n"), 3)
	cut := func(b []byte, n int) []byte { return b[:len(b)-n] }
	cases := []struct {
		name, file, kind string
		body             []byte
		want             string // after the file's path; "" for input that is sound
		texts            []string
		docs, files      int64 // counted as skipped
	}{
		{"sound lines", "x.jsonl", "jsonl", jsonl, "", []string{"one", "two"}, 0, 0},
		{"no newline at the end", "x.jsonl", "jsonl", cut(jsonl, 1), "", []string{"one", "two"}, 0, 0},
		{"byte order mark", "x.jsonl", "jsonl", append([]byte("\ufeff"), jsonl...), "", []string{"one", "two"}, 0, 0},
		{"broken line", "x.jsonl", "jsonl", append(slices.Clone(jsonl), "{\"text\": \"thr\n{\"text\": \"four\"}"...),
			":4:13: not JSON: unexpected end of JSON input", []string{"one", "two", "four"}, 1, 0},
		{"line of an array", "x.jsonl", "jsonl", []byte("[1]\n{\"text\": \"x\"}"), ":1: not a JSON object but an array", []string{"x"}, 1, 0},
		{"two values in a line", "x.jsonl", "jsonl", []byte("{\"text\": \"x\"} {}\n"), ":1:15: not JSON: invalid character '{' after top-level value", nil, 1, 0},
		{"no field", "x.jsonl", "jsonl", []byte("{\"text\": \"x\"}\n{\"body\": \"x\"}"), `:2: no field "text"`, []string{"x"}, 1, 0},
		{"field of a number", "x.jsonl", "jsonl", []byte("{\"text\": 5}"), `:1: field "text" is a number, want a string`, nil, 1, 0},
		{"field of null", "x.jsonl", "jsonl", []byte("{\"text\": null}"), `:1: field "text" is null, want a string`, nil, 1, 0},
		{"gz cut short", "x.jsonl.gz", "jsonl", cut(gz(t, jsonl), 5),
			fmt.Sprintf(": offset %d: compressed data is cut short: unexpected EOF", len(gz(t, jsonl))-5), []string{"one", "two"}, 0, 1},
		{"gz without contents", "x.jsonl.gz", "jsonl", gz(t, jsonl)[:6], ": offset 6: compressed data is cut short: unexpected EOF", nil, 0, 1},
		{"gz with a wrong checksum", "x.jsonl.gz", "jsonl", append(cut(gz(t, jsonl), 8), 1, 2, 3, 4, 5, 6, 7, 8),
			fmt.Sprintf(": offset %d: gzip: invalid checksum", len(gz(t, jsonl))), []string{"one", "two"}, 0, 1},
		{"gz in name only", "x.jsonl.gz", "jsonl", jsonl, "", []string{"one", "two"}, 0, 0},
		{"zst in name only", "x.txt.zst", "files", []byte("hello"), "", []string{"hello"}, 0, 0},
		{"gz in name only, and no text", "x.jsonl.gz", "jsonl", []byte("\x1f\x00{}\n"), ": offset 0: starts with bytes 1f 00 7b 7d, which is neither compressed data nor text", nil, 0, 1},
		{"zeros behind gz", "x.txt.gz", "files", append(gz(t, []byte("one")), make([]byte, 70000)...), "", []string{"one"}, 0, 0},
		{"zeros between gz members", "x.txt.gz", "files", append(append(gz(t, []byte("one")), 0, 0, 0), gz(t, []byte("two"))...), "", []string{"onetwo"}, 0, 0},
		{"bytes behind gz", "x.jsonl.gz", "jsonl", append(gz(t, jsonl), "tail"...), fmt.Sprintf(": offset %d: ", len(gz(t, jsonl))) + errTrailing.Error(), []string{"one", "two"}, 0, 1},
		{"zeros and bytes behind gz", "x.jsonl.gz", "jsonl", append(gz(t, jsonl), "\x00\x00tail"...), fmt.Sprintf(": offset %d: ", len(gz(t, jsonl))+2) + errTrailing.Error(), []string{"one", "two"}, 0, 1},
		{"second gz member cut", "x.jsonl.gz", "jsonl", append(gz(t, jsonl), gz(t, jsonl)[:8]...),
			fmt.Sprintf(": offset %d: compressed data is cut short: unexpected EOF", len(gz(t, jsonl))+8), []string{"one", "two"}, 0, 1},
		{"two zst frames and a skippable one", "x.txt", "files", append(append(zst(t, []byte("one")), "\x5a\x2a\x4d\x18\x03\x00\x00\x00abc"...), zst(t, []byte("two"))...), "", []string{"onetwo"}, 0, 0},
		{"skippable zst frame first", "x.txt", "files", append([]byte("\x50\x2a\x4d\x18\x00\x00\x00\x00"), zst(t, []byte("two"))...), "", []string{"two"}, 0, 0},
		{"bytes behind zst", "x.jsonl.zst", "jsonl", append(zst(t, jsonl), "tail"...), fmt.Sprintf(": offset %d: ", len(zst(t, jsonl))+4) + errTrailing.Error(), []string{"one", "two"}, 0, 1},
		{"zst window of 512 MiB", "x.txt", "files", window(t, 29), "", []string{"wide"}, 0, 0},
		{"zst window of 4 GiB", "x.txt", "files", window(t, 32), ": offset 6: needs a window of more than 2048 MiB, the limit here and of zstd --long=31: compress it again with a smaller window", nil, 0, 1},
		{"bz2", "x.txt", "files", bz2, "", []string{"one\n"}, 0, 0},
		{"two bz2 streams", "x.txt", "files", append(slices.Clone(bz2), bz2...), "", []string{"one\none\n"}, 0, 0},
		{"bytes behind bz2", "x.txt", "files", append(slices.Clone(bz2), "tail"...), fmt.Sprintf(": offset %d: ", len(bz2)+2) + errTrailing.Error(), nil, 0, 1},
		{"bz2 cut short", "x.txt", "files", cut(bz2, 5), fmt.Sprintf(": offset %d: compressed data is cut short: unexpected EOF", len(bz2)-5), nil, 0, 1},
		{"text like bz2", "x.txt", "files", []byte("BZh9 is how bzip2 begins"), "", []string{"BZh9 is how bzip2 begins"}, 0, 0},
		{"byte order mark of text", "x.txt", "files", []byte("\ufeffone\r\n"), "", []string{"one\r\n"}, 0, 0},
		{"UTF-16 with a mark", "x.txt", "files", []byte("\xff\xfeo\x00n\x00e\x00"), ": is text in UTF-16LE, and not text in UTF-8: write it in UTF-8: iconv -f UTF-16LE -t UTF-8, or leave it out with exclude", nil, 0, 1},
		{"UTF-16 of the other order", "x.jsonl", "jsonl", []byte("\xfe\xff\x00{\x00}"), ": is text in UTF-16BE, and not text in UTF-8: write it in UTF-8: iconv -f UTF-16BE -t UTF-8, or leave it out with exclude", nil, 0, 1},
		{"UTF-16 without a mark", "x.txt", "files", []byte("o\x00n\x00e\x00 \x00t\x00w\x00o\x00"), ": is text in UTF-16LE, and not text in UTF-8: write it in UTF-8: iconv -f UTF-16LE -t UTF-8, or leave it out with exclude", nil, 0, 1},
		{"UTF-32 without a mark", "x.txt", "files", []byte("\x00\x00\x00o\x00\x00\x00n"), ": is text in UTF-32BE, and not text in UTF-8: write it in UTF-8: iconv -f UTF-32BE -t UTF-8, or leave it out with exclude", nil, 0, 1},
		{"xz", "x.txt", "files", []byte("\xfd7zXZ\x00\x00\x04"), ": is xz-compressed, and not text in UTF-8: unpack it: xz -dk, or leave it out with exclude", nil, 0, 1},
		{"tar in gz", "x.jsonl", "jsonl", gz(t, append(make([]byte, 257), "ustar\x0000"...)), ": is, inside of its compression, a tar archive, and not text in UTF-8: unpack it: tar -xf, or leave it out with exclude", nil, 0, 1},
		{"Parquet", "x.txt", "files", []byte("PAR1\x15\x00"), ": is a Parquet file, and not text in UTF-8: write its text as JSON lines, or leave it out with exclude", nil, 0, 1},
		{"text like Parquet", "x.txt", "files", []byte("PAR1 is a gene"), "", []string{"PAR1 is a gene"}, 0, 0},
		{"git-lfs pointer", "x.txt", "files", []byte("version https://git-lfs.github.com/spec/v1\noid sha256:00\n"), ": is a git-lfs pointer and not the file itself, and not text in UTF-8: fetch it: git lfs pull, or leave it out with exclude", nil, 0, 1},
		{"Latin-1", "x.txt", "files", []byte("eins\nf\xfcnf\n"), ": offset 0: not UTF-8: byte 0xfc at byte 6 of the text, in line 2; if it is Latin-1, write it in UTF-8: iconv -f ISO-8859-1 -t UTF-8", nil, 1, 0},
		{"Latin-1 in JSON", "x.jsonl", "jsonl", []byte("{\"text\": \"f\xfcnf\"}\n{\"text\": \"x\"}\n"), ":1:12: not UTF-8, which JSON must be", []string{"x"}, 1, 0},
		{"a character cut at the end", "x.txt", "files", []byte("eins f\xc3"), "", []string{"eins f\xc3"}, 0, 0},
		{"zst cut short", "x.jsonl.zst", "jsonl", cut(zst(t, long), 3),
			fmt.Sprintf(": offset %d: compressed data is cut short: unexpected EOF", len(zst(t, long))-3), nil, 0, 1},
		{"text gz cut short", "x.txt.gz", "files", cut(gz(t, jsonl), 9),
			fmt.Sprintf(": offset %d: compressed data is cut short: unexpected EOF", len(gz(t, jsonl))-9), nil, 0, 1},
		{"two gz members", "x.txt.gz", "files", append(gz(t, []byte("one")), gz(t, []byte("two"))...), "", []string{"onetwo"}, 0, 0},
		{"compressed without the name", "x.txt", "files", gz(t, []byte("one")), "", []string{"one"}, 0, 0},
		{"no text", "x.txt", "files", []byte("PNG\x00\x01"), "", nil, 0, 0},
		{"sound pages", "x.wet", "wet", pages, "", []string{"eins", "zwei"}, 0, 0},
		{"compressed pages", "x.wet.gz", "wet", gz(t, pages), "", []string{"eins", "zwei"}, 0, 0},
		{"page cut short", "x.wet", "wet", cut(pages, 6),
			fmt.Sprintf(": at byte %d of the decompressed file: the file ends inside a record of 4 bytes", len(pages)-6), []string{"eins"}, 0, 1},
		{"header cut short", "x.wet", "wet", append(slices.Clone(pages), "WARC/1.0\r\nWARC-Type: conv"...),
			fmt.Sprintf(": at byte %d of the decompressed file: the file ends inside a record's header", len(pages)+25), []string{"eins", "zwei"}, 0, 1},
		{"no record", "x.wet", "wet", append(slices.Clone(pages), "<html>\n"...),
			fmt.Sprintf(": at byte %d of the decompressed file: want a WARC record, found \"<html>\"", len(pages)+7), []string{"eins", "zwei"}, 0, 1},
		{"record without a length", "x.wet", "wet", []byte("WARC/1.0\r\nWARC-Type: conversion\r\n\r\n"),
			": at byte 35 of the decompressed file: a record without a content length", nil, 0, 1},
		{"length that is none", "x.wet", "wet", []byte("WARC/1.0\r\nContent-Length: -4\r\n\r\n"),
			`: at byte 30 of the decompressed file: content length "-4"`, nil, 0, 1},
		{"length beyond reason", "x.wet", "wet", []byte("WARC/1.0\r\nContent-Length: 99999999999999\r\n\r\n"),
			": at byte 44 of the decompressed file: a record of 99999999999999 bytes, at most 1073741824", nil, 0, 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			dir := t.TempDir()
			path := filepath.Join(dir, c.file)
			must(t, os.WriteFile(path, c.body, 0o666))
			// A second file, so that there is a set to be made; the order of
			// the two must not matter.
			put(t, dir, "a."+c.kind, map[string][]byte{"jsonl": []byte("{\"text\": \"last\"}"), "files": []byte("last"),
				"wet": wet([3]string{"conversion", "http://z", "last"})}[c.kind])
			cfg := Config{
				Sources:   []Source{{Name: "s", Share: 1, Kind: c.kind, Paths: []string{"*"}, Field: "text"}},
				Tokenizer: byteTok{}, Base: dir, OutDir: t.TempDir(),
			}
			_, err := Run(context.Background(), cfg, nil)
			if c.want == "" {
				must(t, err)
			} else {
				var bad *InputError
				if !errors.As(err, &bad) || err.Error() != path+c.want {
					t.Errorf("error is\n%v, want\n%s", err, path+c.want)
				}
				if left := files(t, cfg.OutDir); len(left) != 0 {
					t.Errorf("broken input leaves %d files behind", len(left))
				}
			}
			var skipped []error
			cfg.SkipBad = true
			cfg.OnSkip = func(err error) { skipped = append(skipped, err) }
			set := run(t, cfg)
			var texts []string
			for _, d := range docsOf(t, set) {
				texts = append(texts, d.text)
			}
			if want := append([]string{"last"}, c.texts...); !slices.Equal(texts, want) {
				t.Errorf("with --skip-bad the set holds %q, want %q", texts, want)
			}
			s := set.Stats()[0]
			if s.BadDocs != c.docs || s.BadFiles != c.files || int64(len(skipped)) != c.docs+c.files {
				t.Errorf("skipped %d documents and %d files with %d reports, want %d and %d", s.BadDocs, s.BadFiles, len(skipped), c.docs, c.files)
			}
			if c.want != "" && (len(skipped) == 0 || skipped[0].Error() != path+c.want) {
				t.Errorf("reported as skipped: %v", skipped)
			}
		})
	}
}

// A unit that was made with --skip-bad is not taken over by a run without.
func TestSkippedUnitIsNotResumedStrictly(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, "a.jsonl", []byte("{\"text\": \"x\"}\n{"))
	put(t, dir, "b.jsonl", []byte("{\"text\": \"y\"}\n"))
	cfg := Config{Sources: []Source{{Name: "s", Share: 1, Kind: "jsonl", Paths: []string{"*"}, Field: "text"}},
		Tokenizer: byteTok{}, Base: dir, OutDir: t.TempDir(), SkipBad: true, unitBytes: 1, Shard: Shard{0, 2}}
	_, err := Run(context.Background(), cfg, nil)
	must(t, err)
	cfg.SkipBad, cfg.Shard = false, Shard{}
	if _, err := Run(context.Background(), cfg, nil); err == nil || !strings.Contains(err.Error(), "a.jsonl:2:1: not JSON") {
		t.Errorf("error is %v", err)
	}
}

// A file system's errors are not the input's, and not to be skipped.
func TestMissingFileIsNotSkipped(t *testing.T) {
	if runtime.GOOS == "windows" || os.Getuid() == 0 {
		t.Skip("permissions do not bind this user")
	}
	dir := t.TempDir()
	put(t, dir, "a.txt", []byte("x"))
	must(t, os.Chmod(filepath.Join(dir, "a.txt"), 0))
	cfg := Config{Sources: []Source{{Name: "s", Share: 1, Kind: "files", Paths: []string{"*"}}},
		Tokenizer: byteTok{}, Base: dir, OutDir: t.TempDir(), SkipBad: true}
	if _, err := Run(context.Background(), cfg, nil); !errors.Is(err, os.ErrPermission) {
		t.Errorf("error is %v", err)
	}
}

// A line longer than a document may be is one bad document; the rest is read.
func TestLongLines(t *testing.T) {
	f := &inputFile{name: "x", path: "x"}
	body := strings.Repeat("a", 1000) + "\n" + strings.Repeat("b", 70000) + "\n\n" + strings.Repeat("c", 300000) + "\nd"
	in, err := newInput(f, &counter{r: strings.NewReader(body)})
	must(t, err)
	in.most = 70000
	var got []string
	must(t, readLines(in, func(d rawDoc) error {
		got = append(got, fmt.Sprintf("%s %d %d", d.name, d.off, len(d.body)))
		return nil
	}))
	want := []string{"x:1 0 1000", "x:2 1001 70000", "x:4 71003 0", "x:5 371004 1"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Lines that the fuzzer finds come out as encoding/json reads them, each with
// its number; and nothing panics.
func FuzzJSONLines(f *testing.F) {
	f.Add([]byte("{\"text\": \"one\"}\n\r\n{\"a\": {\"text\": \"two\"}, \"text\": 3}\n{\n\xff\x00"), "text")
	f.Add([]byte("\ufeff{\"a.b\": \"x\", \"a\": {\"b\": \"y\"}}\n{\"a\": {\"b\": \"\\ud800\"}}"), "a.b")
	f.Add([]byte("null\n[]\n\"text\"\n1e9\n{\"text\": \"a\", \"text\": \"b\"}\n"), "text")
	f.Fuzz(func(t *testing.T, body []byte, field string) {
		file := &inputFile{name: "f", path: "f"}
		if isZstd(body) || bytes.HasPrefix(body, []byte{0x1f, 0x8b}) {
			return
		}
		in, err := newInput(file, &counter{r: bytes.NewReader(body)})
		must(t, err)
		src := &Source{Field: field}
		got := map[int]string{}
		must(t, readLines(in, func(d rawDoc) error {
			text, v, err := jsonText(src, &d)
			if err != nil {
				var bad *InputError
				if !errors.As(err, &bad) || bad.Line != d.line {
					t.Fatalf("line %d: error %v", d.line, err)
				}
				got[d.line] = "error"
			} else if v == use {
				if !utf8.Valid(text) {
					t.Fatalf("line %d: text is not UTF-8", d.line)
				}
				got[d.line] = "text " + string(text)
			}
			if !bytes.HasPrefix(body[d.off:], d.body) && d.line > 1 {
				t.Fatalf("line %d is not at %d", d.line, d.off)
			}
			return nil
		}))
		for i, line := range bytes.Split(body, []byte("\n")) {
			if i == 0 {
				line = bytes.TrimPrefix(line, []byte("\ufeff"))
			}
			want := ""
			if len(bytes.TrimSpace(line)) > 0 {
				want = "error"
				var v any
				if json.Unmarshal(line, &v) == nil {
					if s, ok := lookup(v, field); ok {
						want = "text " + s
					}
				}
			}
			if got[i+1] != want {
				t.Fatalf("line %d %q, field %q: got %q, want %q", i+1, line, field, got[i+1], want)
			}
		}
	})
}

// lookup finds a field by its definition: as it stands, or along its dots.
func lookup(v any, field string) (string, bool) {
	object, ok := v.(map[string]any)
	if !ok {
		return "", false
	}
	if x, ok := object[field]; ok {
		s, ok := x.(string)
		return s, ok
	}
	first, rest, dotted := strings.Cut(field, ".")
	if x, ok := object[first]; ok && dotted {
		return lookup(x, rest)
	}
	return "", false
}

// No WET file makes the reader panic or hold more than the file has.
func FuzzWARC(f *testing.F) {
	f.Add(wet([3]string{"conversion", "http://a", "eins"}, [3]string{"warcinfo", "", ""}))
	f.Add([]byte("WARC/1.0\r\nContent-Length: 999999999\r\n\r\nx"))
	f.Add([]byte("\r\n\r\nWARC/1.0\nwarc-type:conversion\ncontent-length:2\n\nab"))
	f.Fuzz(func(t *testing.T, body []byte) {
		in, err := newInput(&inputFile{name: "f", path: "f"}, &counter{r: bytes.NewReader(body)})
		if err != nil {
			return
		}
		total := 0
		err = readWARC(in, func(d rawDoc) error {
			total += len(d.body)
			return nil
		})
		if err == nil && total > len(body) && !isZstd(body[:min(4, len(body))]) && !bytes.HasPrefix(body, []byte{0x1f, 0x8b}) {
			t.Fatalf("%d bytes of text from %d", total, len(body))
		}
		var bad *InputError
		if err != nil && !errors.As(err, &bad) {
			t.Fatalf("error is %v", err)
		}
	})
}

// Real files in the forms that the paper's sources are published in.
func TestRealFiles(t *testing.T) {
	assets := os.Getenv("LLAMAC_ASSETS")
	if assets == "" {
		t.Skip("LLAMAC_ASSETS not set: real files of Common Crawl, C4 and books")
	}
	cfg := Config{
		Sources: []Source{
			{Name: "cc", Share: 0.5, Kind: "wet", Paths: []string{"commoncrawl/*.wet*"}, Dedup: true},
			{Name: "ccnet", Share: 0.1, Kind: "jsonl", Paths: []string{"commoncrawl/*.jsonl"}, Field: "text"},
			{Name: "c4", Share: 0.2, Kind: "jsonl", Paths: []string{"c4/*.jsonl.gz"}, Field: "text"},
			{Name: "books", Share: 0.2, Kind: "files", Paths: []string{"books"}},
		},
		Tokenizer: byteTok{}, AddBOS: true, AddEOS: true, Base: filepath.Join(assets, "text"), OutDir: t.TempDir(),
	}
	set := run(t, cfg)
	want := []struct{ docs, dups int64 }{{1, 1}, {-1, 0}, {400, 0}, {2, 0}}
	for i, s := range set.Stats() {
		if want[i].docs >= 0 && s.Train.Docs != want[i].docs || s.Duplicates.Docs != want[i].dups || s.Train.Docs == 0 {
			t.Errorf("%s has %d documents and %d duplicates, want %d and %d", s.Name, s.Train.Docs, s.Duplicates.Docs, want[i].docs, want[i].dups)
		}
	}
	alice, err := os.ReadFile(filepath.Join(assets, "text/books/pg11_alice.txt"))
	must(t, err)
	found := false
	for _, d := range docsOf(t, set) {
		found = found || d.name == "pg11_alice.txt" && d.text == strings.TrimPrefix(string(alice), "\ufeff")
	}
	if !found {
		t.Error("Alice is not in the set, or not as she was")
	}
	st, err := set.Stream(data.StreamConfig{Context: 128, Seed: 1})
	must(t, err)
	seq := make([]int32, 129)
	st.Sequence(1<<20, seq)
}

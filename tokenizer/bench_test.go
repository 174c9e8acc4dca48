package tokenizer

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// flores reads the sentences of one language ("jpn_Jpan").
func flores(t testing.TB, language string) []byte {
	t.Helper()
	z, err := gzip.NewReader(bytes.NewReader(readAsset(t, "text/multilingual/flores200_dev.tar.gz")))
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err != nil {
			t.Fatalf("%s: %v", language, err)
		}
		if strings.Contains(h.Name, language) && h.Typeflag == tar.TypeReg {
			data, err := io.ReadAll(r)
			if err != nil {
				t.Fatal(err)
			}
			return data
		}
	}
}

// goSource reads up to n bytes of the Go distribution's own source.
func goSource(t testing.TB, n int) []byte {
	t.Helper()
	var text []byte
	out, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Skipf("go not found: %v", err)
	}
	root := filepath.Join(strings.TrimSpace(string(out)), "src")
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if len(text) >= n {
			return fs.SkipAll
		}
		if d.Type().IsRegular() && strings.HasSuffix(path, ".go") {
			data, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			text = append(text, data...)
		}
		return nil
	})
	if err != nil || len(text) < n {
		t.Skipf("the Go distribution's source not found: %d bytes, %v", len(text), err)
	}
	return text[:n]
}

// benchTexts are the kinds of text that docs/benchmarks-tokenizer.md speaks of.
func benchTexts(b testing.TB) map[string][]byte {
	prose := append(readAsset(b, "text/books/pg1342_pride_and_prejudice.txt"), readAsset(b, "text/wikipedia/wikitext2_valid.txt")...)
	return map[string][]byte{
		"prose":   prose,
		"code":    goSource(b, 2<<20),
		"chinese": bytes.Repeat(flores(b, "zho_Hans"), 8),
		"a":       bytes.Repeat([]byte("a"), 1<<20),
	}
}

func BenchmarkLoad(b *testing.B) {
	for _, name := range []string{"tokenizer.model", "llama-hf-tokenizer.json"} {
		b.Run(name, func(b *testing.B) {
			data := readAsset(b, "tokenizer/llama/"+name)
			for b.Loop() {
				if _, err := Parse(name, data); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncode(b *testing.B) {
	tok := openAsset(b, "tokenizer/llama/tokenizer.model")
	texts := benchTexts(b)
	for _, name := range []string{"prose", "code", "chinese", "a"} {
		b.Run(name, func(b *testing.B) {
			text := texts[name]
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			var ids []int32
			for b.Loop() {
				ids = tok.Encode(ids[:0], text)
			}
			b.ReportMetric(float64(len(text))/float64(len(ids)), "bytes/token")
		})
	}
}

// Lines are encoded one by one, as spm_encode does.
func BenchmarkEncodeLines(b *testing.B) {
	tok := openAsset(b, "tokenizer/llama/tokenizer.model")
	text := benchTexts(b)["prose"]
	lines := bytes.Split(text, []byte("\n"))
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	var ids []int32
	for b.Loop() {
		for _, line := range lines {
			ids = tok.Encode(ids[:0], line)
		}
	}
}

func BenchmarkEncodeParallel(b *testing.B) {
	tok := openAsset(b, "tokenizer/llama/tokenizer.model")
	text := benchTexts(b)["prose"]
	b.SetBytes(int64(len(text)))
	b.RunParallel(func(pb *testing.PB) {
		var ids []int32
		for pb.Next() {
			ids = tok.Encode(ids[:0], text)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	tok := openAsset(b, "tokenizer/llama/tokenizer.model")
	ids := tok.Encode(nil, benchTexts(b)["prose"])
	var text []byte
	b.ReportAllocs()
	for b.Loop() {
		text = tok.Decode(text[:0], ids)
	}
	b.SetBytes(int64(len(text)))
}

func BenchmarkEncodeByteLevel(b *testing.B) {
	tok, err := Open("testdata/llama3.json")
	if err != nil {
		b.Fatal(err)
	}
	text := benchTexts(b)["prose"]
	b.SetBytes(int64(len(text)))
	b.ReportAllocs()
	var ids []int32
	for b.Loop() {
		ids = tok.Encode(ids[:0], text)
	}
}

// udhr reads the Universal Declaration of Human Rights in one language ("jpn").
func udhr(t testing.TB, language string) string {
	t.Helper()
	data := readAsset(t, "text/multilingual/udhr2.zip")
	z, err := zip.NewReader(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	f, err := z.Open("udhr2/" + language + ".txt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	text, err := io.ReadAll(f)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

package tokenizer

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"io"
	"os"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// Files in all combinations of their parts give the ids and texts that Hugging
// Face's library gives: what special tokens are as text, too, and streams are
// what Decode gives.
func TestVectors(t *testing.T) {
	f, err := os.Open("testdata/vectors.jsonl.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	if files, cases := checkVectors(t, z); files < 100 || cases < 1000 {
		t.Errorf("only %d files with %d cases", files, cases)
	}
	// More of the same, made with another seed.
	if path := os.Getenv("LLAMAC_TOKENIZER_VECTORS"); path != "" {
		f, err := os.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		files, cases := checkVectors(t, f)
		t.Logf("%s: %d files, %d cases", path, files, cases)
	}
}

func checkVectors(t *testing.T, r io.Reader) (files, cases int) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 64<<20)
	refused := 0
	for lines.Scan() {
		var v struct {
			File  json.RawMessage
			Cases [][]json.RawMessage
		}
		if err := json.Unmarshal(lines.Bytes(), &v); err != nil {
			t.Fatal(err)
		}
		files++
		tok, err := ParseJSON("file", v.File)
		if err != nil {
			// What it refuses it names; a few combinations are.
			if refused++; !strings.Contains(err.Error(), "not supported") && !strings.Contains(err.Error(), "nothing is left") {
				t.Errorf("line %d: %v", files, err)
			}
			continue
		}
		plain := tok.WithoutSpecials()
		barred := len(tok.barred()) > 0
		// The library does not leave out special tokens whose normal form is
		// not their own spelling, such as LLaMA's ▁<s>; here they have no text.
		odd := slices.ContainsFunc(tok.hf.added, func(a addedToken) bool { return a.Special && a.Normalized && tok.hf.normalForm(a.Content) != a.Content })
		failed := 0
		for _, c := range v.Cases {
			var text, back, decoded string
			var ids, plainIDs, random []int32
			for i, into := range []any{&text, &ids, &plainIDs, &back, &random, &decoded} {
				if err := json.Unmarshal(c[i], into); err != nil {
					t.Fatal(err)
				}
			}
			cases++
			got, off := tok.Encode(nil, []byte(text)), plain.Encode(nil, []byte(text))
			switch {
			case !slices.Equal(got, ids):
				t.Errorf("line %d: %q: %v, want %v", files, text, got, ids)
			case !barred && !slices.Equal(off, plainIDs):
				t.Errorf("line %d: %q without specials: %v, want %v", files, text, off, plainIDs)
			case odd:
				continue
			case decodedText(tok, ids) != back:
				t.Errorf("line %d: %v: decoded %q, want %q", files, ids, decodedText(tok, ids), back)
			case decodedText(tok, random) != decoded:
				t.Errorf("line %d: %v: decoded %q, want %q", files, random, decodedText(tok, random), decoded)
			default:
				stream, s := "", NewStream(tok)
				for _, id := range random {
					part := s.Next(id)
					if !utf8.Valid(part) {
						t.Errorf("line %d: streamed %q", files, part)
					}
					stream += string(part)
				}
				if stream += string(s.Flush()); stream == decoded || tok.decodesBytes {
					continue
				}
				t.Errorf("line %d: %v: streamed %q, want %q", files, random, stream, decoded)
			}
			if failed++; failed > 2 {
				break
			}
		}
	}
	if err := lines.Err(); err != nil {
		t.Fatal(err)
	}
	if refused > files/5 {
		t.Errorf("%d of %d files were refused", refused, files)
	}
	return files, cases
}

// decodedText is the text of ids as a string of Unicode: what the library gives
// out for bytes that are none.
func decodedText(tok *BPE, ids []int32) string {
	b := tok.Decode(nil, ids)
	if tok.decodesBytes {
		return lossy(b)
	}
	return string(b)
}

// lossy puts one U+FFFD for each longest beginning of a character that is cut
// off, as Rust does.
func lossy(b []byte) string {
	var out strings.Builder
	for len(b) > 0 {
		r, n := utf8.DecodeRune(b)
		if r == utf8.RuneError && n == 1 {
			// Longer beginnings than one byte count once.
			for m := 2; m < 4 && m <= len(b) && !utf8.FullRune(b[:m]); m++ {
				n = m
			}
			out.WriteString(replacement)
		} else {
			out.Write(b[:n])
		}
		b = b[n:]
	}
	return out.String()
}

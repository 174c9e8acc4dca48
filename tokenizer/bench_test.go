package tokenizer

import (
	"os"
	"testing"
)

func BenchmarkLoad(b *testing.B) {
	data := readAsset(b, "tokenizer/llama/tokenizer.bin")
	for b.Loop() {
		if _, err := Parse("x", data); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkEncode(b *testing.B) {
	tok, err := Open(asset(b, "tokenizer/llama/tokenizer.bin"))
	if err != nil {
		b.Fatal(err)
	}
	for _, name := range []string{"en", "go", "zh", "a"} {
		text, err := os.ReadFile("/tmp/tk/" + name + ".txt")
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			b.ReportAllocs()
			var ids []int32
			for b.Loop() {
				ids = tok.Encode(ids[:0], text)
			}
		})
	}
}

package tokenizer

import (
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"strings"
)

// llama2.c's tokenizer.bin (Karpathy 2023), all little-endian:
//
//	uint32 longest piece in bytes
//	for each piece: float32 score, uint32 length, bytes
//
// The number of pieces is not stored: the file just ends. Spaces are spelled
// as spaces, BOS and EOS as "\n<s>\n" and "\n</s>\n", and there are no kinds.

const (
	binBOS = "\n<s>\n"
	binEOS = "\n</s>\n"
)

// ParseBin reads llama2.c's tokenizer.bin. The kinds of pieces that the format
// lacks are those of every LLaMA vocabulary: unknown, BOS, EOS, 256 bytes.
func ParseBin(name string, data []byte) (*BPE, error) {
	if len(data) < 4 {
		return nil, fmt.Errorf("%s: offset 0: tokenizer.bin is cut off", name)
	}
	longest := binary.LittleEndian.Uint32(data)
	var pieces []Piece
	// The stated length bounds every piece; the file's own size bounds both.
	for at := 4; at < len(data); {
		if len(data)-at < 8 {
			return nil, fmt.Errorf("%s: offset %d: piece %d is cut off", name, at, len(pieces))
		}
		score := math.Float32frombits(binary.LittleEndian.Uint32(data[at:]))
		n := binary.LittleEndian.Uint32(data[at+4:])
		if n > longest || int64(n) > int64(len(data)-at-8) {
			return nil, fmt.Errorf("%s: offset %d: piece %d has %d bytes, more than fit", name, at+4, len(pieces), n)
		}
		at += 8
		text := string(data[at : at+int(n)])
		at += int(n)
		pieces = append(pieces, binPiece(len(pieces), text, score))
	}
	cfg := llamaConfig()
	cfg.ByteFallback = allBytes(pieces)
	t, err := newBPE(pieces, cfg)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return t, nil
}

// binPiece restores what the export to tokenizer.bin rewrote.
func binPiece(id int, text string, score float32) Piece {
	// llama2.c takes ids 0, 1 and 2 for granted.
	switch {
	case id == 0:
		return Piece{text, score, KindUnknown}
	case id == 1 && (text == binBOS || text == "<s>"):
		return Piece{"<s>", score, KindControl}
	case id == 2 && (text == binEOS || text == "</s>"):
		return Piece{"</s>", score, KindControl}
	}
	if _, ok := byteOfPiece(text); ok {
		return Piece{text, score, KindByte}
	}
	return Piece{strings.ReplaceAll(text, " ", space), score, KindNormal}
}

// WriteBin writes t as llama2.c's tokenizer.bin. Only a SentencePiece
// vocabulary can be written.
func WriteBin(w io.Writer, t *BPE) error {
	if t.cfg.Family != SentencePiece {
		return fmt.Errorf("tokenizer.bin holds SentencePiece vocabularies only, not %s", t.cfg.Family)
	}
	longest := 0
	var body []byte
	for id, p := range t.pieces {
		text := strings.ReplaceAll(p.Text, space, " ")
		switch int32(id) {
		case t.bos:
			text = binBOS
		case t.eos:
			text = binEOS
		}
		longest = max(longest, len(text))
		body = binary.LittleEndian.AppendUint32(body, math.Float32bits(p.Score))
		body = binary.LittleEndian.AppendUint32(body, uint32(len(text)))
		body = append(body, text...)
	}
	head := binary.LittleEndian.AppendUint32(nil, uint32(longest))
	if _, err := w.Write(append(head, body...)); err != nil {
		return err
	}
	return nil
}

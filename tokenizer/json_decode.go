package tokenizer

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// Hugging Face's decoders turn a list of tokens into a text, one after the
// other: the first gets the tokens' spellings, each next one what the one
// before gave. Special tokens are left out before. Here each decoder is fed
// token by token, so that a text can be written while ids come; what only the
// end decides is held back until then.

// decodeKind is the type of a decoder.
type decodeKind uint8

const (
	decodeReplace   decodeKind = iota
	decodeBytes                // ByteFallback
	decodeStrip                // drops characters at the ends of each token
	decodeMetaspace            // ▁ to spaces, none for the first token
	decodeJoin                 // no decoder at all: a space between tokens
)

// decodePart is one decoder.
type decodePart struct {
	kind        decodeKind
	from, to    string // of decodeReplace
	char        rune   // of decodeStrip
	start, stop int    // at most so many characters go
	prepended   bool   // of decodeMetaspace: the first token's ▁ was put there
	fused       bool   // after Fuse: all tokens are one, of which parts come
}

// readDecoder reads a decoder and those within it. all says that it decodes to
// bytes.
func (p *pipeline) readDecoder(n *jsonPart) (toBytes bool, err error) {
	if n == nil {
		p.decode = []decodePart{{kind: decodeJoin}}
		return false, nil
	}
	list := []*jsonPart{n}
	if n.Type == "Sequence" {
		list = n.Decoders
	}
	fused := false
	for i, n := range list {
		if n == nil {
			return false, fmt.Errorf("decoder %d of a Sequence is null", i)
		}
		d := decodePart{fused: fused}
		switch n.Type {
		case "ByteLevel":
			// It takes the whole list, and nothing is left to be done.
			for _, rest := range list[i+1:] {
				if rest == nil || rest.Type != "Fuse" {
					return false, fmt.Errorf("a decoder behind ByteLevel is not supported")
				}
			}
			if i > 0 {
				return false, fmt.Errorf("decoder ByteLevel behind another is not supported")
			}
			return true, nil
		case "Fuse":
			fused = true
			continue
		case "Replace":
			if n.Pattern == nil || n.Pattern.String == nil || *n.Pattern.String == "" {
				return false, fmt.Errorf("decoder Replace is supported for strings only")
			}
			d.kind, d.from, d.to = decodeReplace, *n.Pattern.String, n.Content
		case "ByteFallback":
			if fused {
				return false, fmt.Errorf("decoder ByteFallback behind Fuse is not supported")
			}
			d.kind = decodeBytes
		case "Strip":
			r, size := utf8.DecodeRuneInString(n.Content)
			if size == 0 || size != len(n.Content) || n.Start < 0 || n.Stop < 0 {
				return false, fmt.Errorf("decoder Strip of %q, %d and %d", n.Content, n.Start, n.Stop)
			}
			d.kind, d.char, d.start, d.stop = decodeStrip, r, n.Start, n.Stop
		case "Metaspace":
			if n.Replacement != space {
				return false, fmt.Errorf("decoder Metaspace with %q for spaces is not supported", n.Replacement)
			}
			d.kind = decodeMetaspace
			d.prepended = n.PrependScheme != "never" && (n.PrependScheme != "" || n.AddPrefixSpace == nil || *n.AddPrefixSpace)
		default:
			return false, fmt.Errorf("decoder %s is not supported", n.Type)
		}
		p.decode = append(p.decode, d)
	}
	return false, nil
}

// jsonDecoder is a decoding in progress.
type jsonDecoder struct {
	t      *BPE
	states []decodeState
	out    []byte
}

// decodeState is what one decoder remembers.
type decodeState struct {
	buf     []byte // what is held back
	scratch []byte
	token   []byte // what came in as a string
	count   int    // tokens so far; characters dropped at the start
	passed  bool
}

// start begins a text.
func (d *jsonDecoder) start(t *BPE) {
	d.t = t
	n := len(t.hf.decode)
	if cap(d.states) < n {
		d.states = make([]decodeState, n)
	}
	d.states = d.states[:n]
	for i := range d.states {
		s := &d.states[i]
		*s = decodeState{buf: s.buf[:0], scratch: s.scratch[:0], token: s.token[:0]}
	}
}

// next appends the text that becomes certain with id.
func (d *jsonDecoder) next(dst []byte, id int32) []byte {
	if id < 0 || int(id) >= len(d.t.pieces) || d.t.special[id] {
		return dst
	}
	d.out = dst
	d.scratchPush(0, d.t.texts[id])
	return d.out
}

// scratchPush pushes a string.
func (d *jsonDecoder) scratchPush(i int, token string) {
	if i == len(d.states) {
		d.out = append(d.out, token...)
		return
	}
	s := &d.states[i]
	s.token = append(s.token[:0], token...)
	d.push(i, s.token)
}

// push feeds a token to decoder i, which may change it in place.
func (d *jsonDecoder) push(i int, token []byte) {
	if i == len(d.states) {
		d.out = append(d.out, token...)
		return
	}
	p, s := &d.t.hf.decode[i], &d.states[i]
	switch p.kind {
	case decodeJoin:
		if s.count > 0 {
			d.out = append(d.out, ' ')
		}
		s.count++
		d.push(i+1, token)
	case decodeReplace:
		// What may reach from one part into the next waits for the end.
		if p.fused && utf8.RuneCountInString(p.from) > 1 {
			s.buf = append(s.buf, token...)
			return
		}
		s.buf = appendReplaced(s.buf[:0], token, p.from, p.to)
		d.push(i+1, s.buf)
	case decodeBytes:
		if b, ok := byteOfToken(token); ok {
			s.buf = append(s.buf, b)
			return
		}
		d.flushBytes(i)
		d.push(i+1, token)
	case decodeStrip:
		d.strip(i, token)
	case decodeMetaspace:
		with := " "
		if s.count == 0 && p.prepended {
			with = ""
		}
		if !p.fused {
			s.count++
		}
		s.buf = appendReplaced(s.buf[:0], token, space, with)
		d.push(i+1, s.buf)
	}
}

// strip drops characters at the ends of a token, or of all together.
func (d *jsonDecoder) strip(i int, token []byte) {
	p, s := &d.t.hf.decode[i], &d.states[i]
	if !p.fused {
		for n := 0; n < p.start && len(token) > 0; n++ {
			r, size := utf8.DecodeRune(token)
			if r != p.char {
				break
			}
			token = token[size:]
		}
		for n := 0; n < p.stop && len(token) > 0; n++ {
			r, size := utf8.DecodeLastRune(token)
			if r != p.char {
				break
			}
			token = token[:len(token)-size]
		}
		d.push(i+1, token)
		return
	}
	for s.count < p.start && !s.passed && len(token) > 0 {
		r, size := utf8.DecodeRune(token)
		if r != p.char {
			break
		}
		token = token[size:]
		s.count++
	}
	if len(token) == 0 {
		return
	}
	s.passed = true
	if p.stop == 0 {
		d.push(i+1, token)
		return
	}
	// The last such characters may be the last of the text.
	s.buf = append(s.buf, token...)
	keep, size := 0, utf8.RuneLen(p.char)
	for keep < p.stop && bytes.HasSuffix(s.buf[:len(s.buf)-keep*size], []byte(string(p.char))) {
		keep++
	}
	sure := len(s.buf) - keep*size
	s.scratch = append(s.scratch[:0], s.buf[:sure]...)
	s.buf = s.buf[:copy(s.buf, s.buf[sure:])]
	d.push(i+1, s.scratch)
}

// flushBytes ends a run of bytes: a text, if they are UTF-8, or else U+FFFD for
// each of them.
func (d *jsonDecoder) flushBytes(i int) {
	s := &d.states[i]
	if len(s.buf) == 0 {
		return
	}
	if utf8.Valid(s.buf) {
		s.scratch = append(s.scratch[:0], s.buf...)
		n := len(s.buf)
		s.buf = s.buf[:0]
		d.push(i+1, s.scratch[:n])
		return
	}
	n := len(s.buf)
	s.buf = s.buf[:0]
	for range n {
		d.scratchPush(i+1, replacement)
	}
}

// flush ends the text and appends what was held back.
func (d *jsonDecoder) flush(dst []byte) []byte {
	d.out = dst
	for i := range d.states {
		p, s := &d.t.hf.decode[i], &d.states[i]
		switch {
		case p.kind == decodeBytes:
			d.flushBytes(i)
		case p.kind == decodeReplace && p.fused && utf8.RuneCountInString(p.from) > 1 && len(s.buf) > 0:
			s.scratch = appendReplaced(s.scratch[:0], s.buf, p.from, p.to)
			s.buf = s.buf[:0]
			d.push(i+1, s.scratch)
		}
	}
	return d.out
}

// appendReplaced appends s with from replaced.
func appendReplaced(dst, s []byte, from, to string) []byte {
	for {
		i := bytes.Index(s, []byte(from))
		if i < 0 {
			return append(dst, s...)
		}
		dst = append(append(dst, s[:i]...), to...)
		s = s[i+len(from):]
	}
}

// byteOfToken reads a byte's token as the library does: in either case.
func byteOfToken(token []byte) (byte, bool) {
	if len(token) != 6 || !bytes.HasPrefix(token, []byte("<0x")) || token[5] != '>' {
		return 0, false
	}
	v, err := strconv.ParseUint(string(token[3:5]), 16, 8)
	return byte(v), err == nil
}

// decodeKey is the decoders for WriteJSON and reports.
func (p *pipeline) decodes(kind decodeKind) bool {
	return slices.ContainsFunc(p.decode, func(d decodePart) bool { return d.kind == kind })
}

// ownSpelling is what a byte-level decoder makes of a token: the bytes that its
// characters stand for, or itself.
func ownSpelling(token string) string {
	if raw, ok := rawBytes(token); ok {
		return raw
	}
	return strings.Clone(token)
}

package tokenizer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/llamac/llamac/runtime/gguf"
)

// Where a text ends is said in more places than the vocabulary: a model of chats
// ends its answers by other tokens than its documents, and each program that
// publishes weights writes that into another file. All of them are collected here
// as they stand, and get their meaning once it is known which tokenizer is used.

// Claims are what the files around a tokenizer say of how texts begin and end.
// They are no part of the vocabulary, nor of its hash. The zero value says nothing.
type Claims struct {
	list  []claim
	named string // the file whose format takes ends of turns by their names, "" for none
}

// claim is one statement of one file.
type claim struct {
	place string // file and key
	about claimed
	id    int64
	text  string // instead of id, unless it is empty
	yes   bool   // of flags
	err   error  // instead of all that
}

type claimed uint8

const (
	aboutEnd claimed = iota
	aboutBOS
	aboutAddBOS
	aboutAddEOS
)

// turnEnds are pieces by which llama.cpp ends a text in any file, whatever its keys
// say. Many GGUF files name no end of turn otherwise.
var turnEnds = []string{
	"<|eot_id|>", "<|eom_id|>", "<|im_end|>", "<|end|>", "<|return|>", "<|call|>", "<end_of_turn>", "<end_of_utterance>",
	"<|endoftext|>", "<|end_of_text|>", "<EOT>", "_<EOT>", "<｜end▁of▁sentence｜>",
}

// maxClaims bounds the files that are read for claims, in bytes.
const maxClaims = 64 << 20

// ClaimsOf reads what belongs to the tokenizer in path: the keys of a GGUF file;
// of a folder, and of a tokenizer.json or tokenizer.model in one,
// tokenizer_config.json, special_tokens_map.json, generation_config.json and
// config.json. What lies beside files of other names may be of another model.
// What cannot be read becomes an error of Ends.
func ClaimsOf(path string) Claims {
	var c Claims
	if st, err := os.Stat(path); err == nil && st.IsDir() {
		c.readFolder(path)
		return c
	}
	f, err := os.Open(path)
	if err != nil {
		return c // whoever opens the tokenizer says so
	}
	defer f.Close()
	var magic [len(gguf.Magic)]byte
	if _, err := io.ReadFull(f, magic[:]); err == nil && string(magic[:]) == gguf.Magic {
		c.readGGUF(path, f)
		return c
	}
	switch filepath.Base(path) {
	case "tokenizer.json", "tokenizer.model":
		c.readFolder(filepath.Dir(path))
	}
	return c
}

// ParseClaims reads what Ends was written as with FormatEnds.
func ParseClaims(place, list string) Claims {
	var c Claims
	for _, s := range strings.FieldsFunc(list, func(r rune) bool { return r == ',' }) {
		id, err := strconv.ParseInt(s, 10, 32)
		if err != nil {
			c.fail(place, fmt.Errorf("%q is no list of ids", list))
			break
		}
		c.list = append(c.list, claim{place: place, id: id})
	}
	return c
}

// FormatEnds writes ids for ParseClaims.
func FormatEnds(ids []int32) string {
	var b strings.Builder
	for i, id := range ids {
		if i > 0 {
			b.WriteByte(',')
		}
		b.WriteString(strconv.Itoa(int(id)))
	}
	return b.String()
}

// And returns the claims of both.
func (c Claims) And(d Claims) Claims {
	out := Claims{list: slices.Concat(c.list, d.list), named: c.named}
	if out.named == "" {
		out.named = d.named
	}
	return out
}

// Ends are the ids at which writing a text stops, ascending: EOS of t and all that
// the files name. An error lists the claims that cannot hold, such as an id outside
// of the vocabulary, each with its file and key; the ids are then those of the
// others.
func (c Claims) Ends(t Tokenizer) ([]int32, error) {
	var ids []int32
	var errs []error
	if t.EOS() >= 0 {
		ids = append(ids, t.EOS())
	}
	for _, s := range c.list {
		if s.err == nil && s.about != aboutEnd {
			continue
		}
		id, err := s.resolve(t)
		switch {
		case err != nil:
			errs = append(errs, err)
		case id >= 0:
			ids = append(ids, id)
		}
	}
	if b, ok := t.(*BPE); ok && c.named != "" {
		for id, p := range b.pieces {
			// The same spelling may be text.
			if (p.Kind == KindControl || p.Kind == KindUserDefined) && slices.Contains(turnEnds, p.Text) {
				ids = append(ids, int32(id))
			}
		}
	}
	slices.Sort(ids)
	return slices.Compact(ids), errors.Join(errs...)
}

// resolve finds the id that a claim is about, -1 for none.
func (s claim) resolve(t Tokenizer) (int32, error) {
	switch {
	case s.err != nil:
		return -1, fmt.Errorf("%s: %w", s.place, s.err)
	case s.text != "":
		for id := range int32(t.Vocab()) {
			if t.Piece(id) == s.text {
				return id, nil
			}
		}
		return -1, fmt.Errorf("%s is %q, which is no piece of the vocabulary", s.place, s.text)
	case s.id == -1: // as some programs write none
		return -1, nil
	case s.id < 0 || s.id >= int64(t.Vocab()):
		return -1, fmt.Errorf("%s is %d, and the vocabulary has the ids 0 to %d", s.place, s.id, t.Vocab()-1)
	}
	return int32(s.id), nil
}

// Prompt holds a spec's word on BOS before a text to that of the files, and returns
// each contradiction with both places. Silence of the files contradicts nothing.
func (c Claims) Prompt(t Tokenizer, bos bool) []string {
	var out []string
	said := false
	differs := func(place string, yes bool) {
		if yes != bos {
			out = append(out, fmt.Sprintf("%s is %v, and tokenizer.bos of the spec %v", place, yes, bos))
		}
	}
	for _, s := range c.list {
		switch {
		case s.err != nil:
		case s.about == aboutAddBOS:
			said = true
			differs(s.place, s.yes)
		case s.about == aboutBOS && bos:
			if id, err := s.resolve(t); err != nil {
				out = append(out, err.Error())
			} else if id >= 0 && id != t.BOS() {
				out = append(out, fmt.Sprintf("%s is %s, and the tokenizer begins texts with %s", s.place, describeID(t, id), describeID(t, t.BOS())))
			}
		}
	}
	// A tokenizer_config.json has the last word over the post-processor, as in
	// Hugging Face's library.
	if b, ok := t.(*BPE); ok && !said && b.putsBOS {
		differs("the post-processor of the tokenizer puts BOS before a text: that", true)
	}
	return out
}

// Documents is Prompt for EOS behind a document: only a file that asks for it can be
// contradicted, as prompts go without it anyhow.
func (c Claims) Documents(eos bool) []string {
	var out []string
	for _, s := range c.list {
		if s.err == nil && s.about == aboutAddEOS && s.yes && !eos {
			out = append(out, fmt.Sprintf("%s is true, and tokenizer.eos of the spec false", s.place))
		}
	}
	return out
}

func (c *Claims) fail(place string, err error) {
	c.list = append(c.list, claim{place: place, err: err})
}

// readFolder reads Hugging Face's files in a folder.
func (c *Claims) readFolder(dir string) {
	for _, name := range []string{"tokenizer_config.json", "special_tokens_map.json", "generation_config.json", "config.json"} {
		path := filepath.Join(dir, name)
		keys, err := jsonKeys(path)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			c.fail(path, err)
			continue
		}
		c.readKeys(path, keys)
		// Of a model that also takes pictures, the part that writes text.
		if raw, ok := keys["text_config"]; ok && name == "config.json" {
			var inner map[string]json.RawMessage
			if json.Unmarshal(raw, &inner) == nil {
				c.readKeys(path+": text_config", inner)
			}
		}
	}
}

// jsonKeys reads an object of a file whose length is bounded.
func jsonKeys(path string) (map[string]json.RawMessage, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxClaims+1))
	if err != nil {
		return nil, err
	}
	if len(data) > maxClaims {
		return nil, fmt.Errorf("longer than %d bytes", maxClaims)
	}
	var keys map[string]json.RawMessage
	return keys, json.Unmarshal(data, &keys)
}

// readKeys takes the keys of any of the files: they mean the same in all.
func (c *Claims) readKeys(path string, keys map[string]json.RawMessage) {
	for _, k := range []struct {
		key   string
		about claimed
	}{{"eos_token", aboutEnd}, {"bos_token", aboutBOS}} {
		raw := keys[k.key]
		var text string
		var token struct {
			Content *string `json:"content"`
		}
		switch place := path + ": " + k.key; {
		case len(raw) == 0 || string(raw) == "null":
			continue
		case json.Unmarshal(raw, &text) == nil:
		case json.Unmarshal(raw, &token) == nil && token.Content != nil:
			text = *token.Content
		default:
			c.fail(place, errors.New("neither a token nor null"))
			continue
		}
		if text != "" {
			c.list = append(c.list, claim{place: path + ": " + k.key, about: k.about, text: text})
		}
	}
	for _, k := range []struct {
		key   string
		about claimed
	}{{"eos_token_id", aboutEnd}, {"bos_token_id", aboutBOS}} {
		raw := keys[k.key]
		var one int64
		var several []*int64
		switch place := path + ": " + k.key; {
		case len(raw) == 0 || string(raw) == "null":
		case json.Unmarshal(raw, &one) == nil:
			c.list = append(c.list, claim{place: place, about: k.about, id: one})
		case json.Unmarshal(raw, &several) == nil && !slices.Contains(several, nil) && k.about == aboutEnd:
			for _, id := range several {
				c.list = append(c.list, claim{place: place, about: k.about, id: *id})
			}
		default:
			c.fail(place, errors.New("neither an id nor a list of them"))
		}
	}
	for _, k := range []struct {
		key   string
		about claimed
	}{{"add_bos_token", aboutAddBOS}, {"add_eos_token", aboutAddEOS}} {
		raw := keys[k.key]
		var yes bool
		switch place := path + ": " + k.key; {
		case len(raw) == 0 || string(raw) == "null":
		case json.Unmarshal(raw, &yes) == nil:
			c.list = append(c.list, claim{place: place, about: k.about, yes: yes})
		default:
			c.fail(place, errors.New("neither true nor false"))
		}
	}
}

// ggufClaims are the keys of a GGUF file.
var ggufClaims = map[string]claimed{
	ggufPrefix + "eos_token_id": aboutEnd, ggufPrefix + "eot_token_id": aboutEnd, ggufPrefix + "eom_token_id": aboutEnd,
	ggufPrefix + "bos_token_id":  aboutBOS,
	ggufPrefix + "add_bos_token": aboutAddBOS, ggufPrefix + "add_eos_token": aboutAddEOS,
}

// readGGUF reads the keys of a GGUF file from its beginning.
func (c *Claims) readGGUF(path string, f io.ReadSeeker) {
	_, err := f.Seek(0, io.SeekStart)
	var pairs gguf.Pairs
	if err == nil {
		pairs, err = gguf.ReadPairs(f, func(key string) bool { _, ok := ggufClaims[key]; return ok })
	}
	if err != nil {
		c.fail(path, err)
		return
	}
	c.named = path
	for _, key := range []string{"eos_token_id", "eot_token_id", "eom_token_id", "bos_token_id", "add_bos_token", "add_eos_token"} {
		key = ggufPrefix + key
		v, ok := pairs[key]
		if !ok {
			continue
		}
		s := claim{place: path + ": " + key, about: ggufClaims[key]}
		flag := s.about == aboutAddBOS || s.about == aboutAddEOS
		switch n := v.(type) {
		case bool:
			s.yes, ok = n, flag
		case uint32:
			// All ones is how llama.cpp writes none.
			s.id, ok = int64(n), !flag
			if n == 1<<32-1 {
				s.id = -1
			}
		case int32:
			s.id, ok = int64(n), !flag
		case int64:
			s.id, ok = n, !flag
		case uint64:
			s.id, ok = int64(min(n, 1<<62)), !flag
		default:
			ok = false
		}
		if !ok {
			s.err = fmt.Errorf("%v is no value of this key", v)
		}
		c.list = append(c.list, s)
	}
}

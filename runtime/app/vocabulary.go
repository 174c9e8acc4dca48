package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/llamac/llamac/tokenizer"
	"github.com/llamac/llamac/weights"
)

// A row of the embedding belongs to the piece that it was trained with, so that
// weights bring their tokenizer along. This file takes together what else names
// one: a flag, the specification, a run's copy. Where two of them contradict each
// other nobody could say which is meant, and the call ends with both names.

// vocabulary is a tokenizer and where it came from.
type vocabulary struct {
	tok     tokenizer.Tokenizer
	from    string                 // for messages
	content func() ([]byte, error) // the file to keep with a run, empty for bytes
	ends    []int32                // ids that end a text, once it is chosen
	claims  tokenizer.Claims       // of the files around it, on how texts begin and end
}

// bytesVocabulary needs no file.
func bytesVocabulary() *vocabulary {
	return &vocabulary{tok: tokenizer.Byte(), from: "bytes", content: func() ([]byte, error) { return nil, nil }}
}

// ofOwn is the tokenizer that weights bring along.
func ofOwn(o *weights.Own) *vocabulary {
	return &vocabulary{tok: o.Tokenizer, from: o.Name(), content: o.Content, claims: o.Claims}
}

// openVocabulary opens what a flag names: a tokenizer file, or weights that bring
// their tokenizer along.
func openVocabulary(path string) (*vocabulary, error) {
	t, err := tokenizer.Open(path)
	if err == nil {
		return &vocabulary{tok: t, from: path, content: func() ([]byte, error) { return tokenizer.Content(path) }, claims: tokenizer.ClaimsOf(path)}, nil
	}
	if own, e := weights.OwnTokenizer(path); e == nil && own.Tokenizer != nil {
		return ofOwn(own), nil
	}
	return nil, err
}

// specKind is tokenizer.kind of the specification, "" if it is not known.
func (e *env) specKind() string {
	var s struct{ Tokenizer struct{ Kind string } }
	if json.Unmarshal([]byte(e.info.SpecJSON), &s) != nil {
		return ""
	}
	return s.Tokenizer.Kind
}

// specVocabulary is the tokenizer that the specification names, nil if it names
// none: one that is learned is known by the run that learned it. path is its file.
func (e *env) specVocabulary(path string) (v *vocabulary, name string, err error) {
	if e.specKind() == "byte" {
		return bytesVocabulary(), "tokenizer.kind byte of the spec", nil
	}
	if path == "" {
		return nil, "", nil
	}
	// Specifications that llamac brings along name files that it cannot.
	if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
		return nil, "", nil
	}
	v, err = openVocabulary(path)
	return v, "tokenizer.path of the spec, " + path, err
}

// choice is what was said about the tokenizer beside the weights.
type choice struct {
	weights string // the path that was named, and by which flag
	flag    string
	named   string // --tokenizer
	spec    string // the file of the specification
	accept  bool   // --accept-tokenizer
}

// choose decides on the tokenizer for weights: what a flag names, or else what
// the weights bring along, or else what the specification names. note gets what a
// person should know of it.
func (e *env) choose(c choice, own *weights.Own, note func(string)) (*vocabulary, error) {
	v, err := e.candidate(c, own, note)
	if err != nil {
		return nil, err
	}
	if err := v.settleEnds(c, note); err != nil {
		return nil, err
	}
	return v, e.fits(v, note)
}

// settleEnds finds the ids that end a text.
func (v *vocabulary) settleEnds(c choice, note func(string)) error {
	ends, err := v.claims.Ends(v.tok)
	if err != nil && !c.accept {
		return usagef("%v\n\tmend the file, or add --accept-tokenizer to go without what it says there", err)
	}
	if err != nil {
		note(fmt.Sprintf("warning: left out: %v", err))
	}
	v.ends = ends
	return nil
}

// beginsAlike holds what the files of weights say of BOS to the spec: a text that
// begins otherwise than those of training is continued badly, and nothing would
// show it.
func (e *env) beginsAlike(c choice, v *vocabulary, note func(string)) error {
	bos := e.info.Recipe.BOS
	list := v.claims.Prompt(v.tok, bos)
	if len(list) == 0 {
		return nil
	}
	what := strings.Join(list, "\n\t")
	if c.accept {
		note("warning: as the spec has it: " + what)
		return nil
	}
	return usagef("%s\n\tto follow the files, add --set tokenizer.bos=%v; --accept-tokenizer begins texts as the spec says", what, !bos)
}

// candidate is choose without looking at the model.
func (e *env) candidate(c choice, own *weights.Own, note func(string)) (*vocabulary, error) {
	// What lies beside the weights and has ids that they have no rows for belongs to
	// another file.
	stray := own.Tokenizer != nil && own.From != "" && own.From != c.weights && own.Tokenizer.Vocab() > e.info.Vocab
	// compared ends in an error where v contradicts the weights and nobody insists.
	compared := func(v *vocabulary, name, ways string) (*vocabulary, error) {
		differs, aside := own.Differs(v.tok)
		// Ends of text are the model's, whichever file its vocabulary was read from.
		if differs == "" {
			v.claims = v.claims.And(own.Claims)
		}
		switch {
		case differs != "" && stray:
			note(fmt.Sprintf("warning: %s has %d ids and the model's vocabulary %d: it is not taken for the tokenizer of the weights", own.Name(), own.Tokenizer.Vocab(), e.info.Vocab))
		case differs != "" && !c.accept:
			return nil, usagef("%s: the weights belong to another tokenizer, %s: %s\n\t%s", name, own.Name(), differs, ways)
		case differs != "":
			note(fmt.Sprintf("warning: %s is used for weights of another tokenizer, %s: %s", v.from, own.Name(), differs))
		case aside != "":
			note("warning: " + aside)
		}
		return v, nil
	}
	if c.named != "" {
		v, err := openVocabulary(c.named)
		if err != nil {
			return nil, err
		}
		return compared(v, "--tokenizer="+c.named, "leave --tokenizer out to use theirs, or add --accept-tokenizer to insist on this one")
	}
	v, name, err := e.specVocabulary(c.spec)
	if err != nil {
		return nil, err
	}
	switch {
	case v != nil && own.Known():
		ways := fmt.Sprintf("--tokenizer %s takes theirs, --accept-tokenizer the spec's", own.From)
		if own.From == "" {
			ways = "--accept-tokenizer takes the spec's"
		}
		w, err := compared(v, name, ways)
		// Of two that agree the weights' own has the ends of text that they were
		// published with.
		if err != nil || c.accept || own.Tokenizer == nil || stray {
			return w, err
		}
		return ofOwn(own), nil
	case v != nil:
		v.claims = v.claims.And(own.Claims)
		return v, nil
	case own.Tokenizer != nil:
		for _, n := range own.Notes {
			note("warning: " + n)
		}
		return ofOwn(own), nil
	case own.Err != nil:
		return nil, usagef("%s=%s: its tokenizer cannot be used: %v\n\tname another with --tokenizer FILE (tokenizer.model, tokenizer.json, tokenizer.bin or GGUF)", c.flag, c.weights, own.Err)
	case own.Hash != "":
		return nil, usagef("%s=%s: does not hold its tokenizer, of hash %.12s; name its file with --tokenizer FILE", c.flag, c.weights, own.Hash)
	case e.info.Vocab == tokenizer.Byte().Vocab():
		v := bytesVocabulary()
		v.claims = own.Claims
		return v, nil
	}
	missing := ""
	if c.weights != "" {
		missing = "; there is none in or beside " + c.weights
	}
	if c.spec != "" {
		missing += fmt.Sprintf(", and %s, which the spec names, is not there", c.spec)
	}
	return nil, usagef("--tokenizer: the model's vocabulary of %d is not that of bytes, so it needs a tokenizer file%s\n\tname one with --tokenizer FILE: tokenizer.model, tokenizer.json, tokenizer.bin, or a GGUF file of the model", e.info.Vocab, missing)
}

// fits holds a tokenizer to the model's vocabulary. A larger one would index
// behind the embedding. A smaller one is common: tables are padded to sizes that
// machines like, and such rows were never trained.
func (e *env) fits(v *vocabulary, note func(string)) error {
	switch have, rows := v.tok.Vocab(), e.info.Vocab; {
	case have > rows:
		return fmt.Errorf("%s: the tokenizer has %d ids, the model's vocabulary %d", v.from, have, rows)
	case have < rows:
		note(fmt.Sprintf("warning: %s has %d pieces, the model's vocabulary %d: the ids from %d on have no text and are never written", v.from, have, rows, have))
	}
	return nil
}

// runTokenizer is the tokenizer that the checkpoints of a run bring along. The
// copy in its folder has to be the same.
func (d *runDir) runTokenizer() (*weights.Own, error) {
	own, err := weights.OwnTokenizer(d.path)
	if err != nil || own.Tokenizer == nil && own.Hash == "" {
		return own, err
	}
	s, found, err := d.readSettings()
	if err != nil || !found {
		return own, err
	}
	path := d.tokenizerPath(s)
	if path == "" {
		return own, nil
	}
	t, err := tokenizer.Open(path)
	// The copy is for people and other programs: its loss does no harm to a run
	// whose checkpoints hold the tokenizer.
	if errors.Is(err, fs.ErrNotExist) && own.Tokenizer != nil {
		return own, nil
	}
	if err != nil {
		return nil, err
	}
	if differs, _ := own.Differs(t); differs != "" {
		return nil, usagef("%s: not the tokenizer that the checkpoints in %s were trained with: %s\n\tremove the file to use theirs (generate --tokenizer %s --accept-tokenizer insists on it)",
			path, d.join(checkpointDir), differs, path)
	}
	return own, nil
}

// chooseTokenizer decides on the tokenizer of a training run.
func (s *session) chooseTokenizer(resumed bool) (*vocabulary, error) {
	c := choice{named: s.flags.tokenizer, accept: s.flags.accept}
	switch {
	case resumed:
		return s.resumedTokenizer(c)
	case s.set.Init == "":
		return s.choose(c, &weights.Own{}, s.report.note)
	}
	own, err := weights.OwnTokenizer(s.set.Init)
	if err != nil {
		return nil, err
	}
	c.flag, c.weights = "--init", s.set.Init
	v, err := s.choose(c, own, s.report.note)
	if err != nil {
		return nil, err
	}
	// Training may teach another way to begin and end, so that it is no error.
	if own.Hash == "" {
		for _, d := range append(v.claims.Prompt(v.tok, s.info.Recipe.BOS), v.claims.Documents(s.info.Recipe.EOS)...) {
			s.report.note("warning: " + d)
		}
	}
	return v, nil
}

// resumedTokenizer is the one that the run began with: what it has learned is
// about its ids, and its data are made of them.
func (s *session) resumedTokenizer(c choice) (*vocabulary, error) {
	own, err := s.dir.runTokenizer()
	if err != nil {
		return nil, err
	}
	if c.named != "" {
		v, err := openVocabulary(c.named)
		if err != nil {
			return nil, err
		}
		if differs, _ := own.Differs(v.tok); differs != "" {
			return nil, usagef("--tokenizer=%s: the run in %s was trained with another tokenizer, %s: %s; going on keeps it",
				c.named, s.dir.path, own.Name(), differs)
		}
	}
	// Its checkpoints hold it, or a copy lies in its folder.
	if own.Tokenizer != nil {
		v := ofOwn(own)
		if err := v.settleEnds(c, s.report.note); err != nil {
			return nil, err
		}
		return v, s.fits(v, s.report.note)
	}
	if c.named == "" {
		c.named = s.dir.tokenizerPath(s.set)
	}
	return s.choose(c, own, s.report.note)
}

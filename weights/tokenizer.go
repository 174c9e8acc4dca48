package weights

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/llamac/llamac/runtime/gguf"
	"github.com/llamac/llamac/tokenizer"
)

// Own is the tokenizer that belongs to weights: the one inside of a checkpoint or
// a GGUF file, or the one that was published beside them.
type Own struct {
	// Tokenizer is nil where none was found, and where it cannot be had: then
	// Err says why, or Hash is all that is known of it.
	Tokenizer tokenizer.Tokenizer
	From      string   // the file that holds it, or that would; "" if there is none
	Hash      string   // what a checkpoint without its tokenizer says of it
	Err       error    // why the tokenizer in From cannot be used
	Notes     []string // what a person should know, such as files that disagree
	// Claims are what the files of the weights say of how texts begin and end, also
	// where there is no tokenizer.
	Claims tokenizer.Claims

	content string // of a tokenizer that is inside of a checkpoint
}

// Known tells whether anything is known of the tokenizer of the weights.
func (o *Own) Known() bool { return o.Tokenizer != nil || o.Hash != "" || o.Err != nil }

// Name says what the tokenizer is, for messages.
func (o *Own) Name() string {
	switch {
	case o.content != "":
		return "the tokenizer in " + o.From
	case o.From != "":
		return o.From
	case o.Tokenizer != nil:
		return "bytes"
	case o.Hash != "":
		return fmt.Sprintf("a tokenizer of hash %.12s", o.Hash)
	}
	return "no tokenizer"
}

// Differs says in what another tokenizer contradicts that of the weights, "" if it
// does not as far as can be known. note says what could not be compared, or that
// the two end texts differently.
func (o *Own) Differs(t tokenizer.Tokenizer) (differs, note string) {
	switch {
	case o.Tokenizer != nil:
		d := tokenizer.Compare(o.Tokenizer, t)
		if d.Text == "" && d.Ends != "" {
			note = "the ids are the same as of " + o.Name() + ", but " + d.Ends
		}
		return d.Text, note
	case o.Hash != "" && o.Hash != t.Hash():
		return fmt.Sprintf("its hash is %.12s and not %.12s", t.Hash(), o.Hash), ""
	case o.Hash == "" && o.Err != nil:
		return "", fmt.Sprintf("not compared with the weights' own tokenizer: %v", o.Err)
	}
	return "", ""
}

// Content is what makes the same tokenizer again, as of tokenizer.Content; it is
// empty for bytes.
func (o *Own) Content() ([]byte, error) {
	if o.content != "" || o.From == "" {
		return []byte(o.content), nil
	}
	return tokenizer.Content(o.From)
}

// OwnTokenizer finds the tokenizer of what Load takes, or of the newest
// checkpoint of a run's folder:
//
//   - a checkpoint of llamac holds it; for one of an earlier version the run's
//     copy is looked for, by its hash;
//   - a GGUF file holds it;
//   - beside other files, and in a folder, it is tokenizer.json or, if there is
//     none, tokenizer.model; for Meta's parts also one folder up, as Meta has it;
//   - beside a llama2.c file it is tok512.bin, with its vocabulary's size, or
//     tokenizer.bin.
//
// An error is about the weights; what is wrong with a tokenizer is in Own.Err.
func OwnTokenizer(path string) (*Own, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if st.IsDir() {
		return ownOfFolder(path)
	}
	f, err := Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	dir := filepath.Dir(path)
	switch f.Format() {
	case "GGUF":
		if own := inGGUF(path); own != nil {
			return own, nil
		}
	case "llamac checkpoint":
		c, err := ReadCheckpointState(path)
		if err != nil {
			return nil, err
		}
		own := ownOfCheckpoint(path, c)
		own.Claims = tokenizer.ParseClaims(path+": ends", c.Ends)
		return own, nil
	case "llama2.c":
		// Where models of several vocabularies lie together, the size is in the name.
		name := fmt.Sprintf("tok%v.bin", f.Config()["vocab"])
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			return first(dir, name), nil
		}
		return first(dir, "tokenizer.bin", "tokenizer.model", "tokenizer.json"), nil
	}
	if strings.HasPrefix(filepath.Base(path), "consolidated.") {
		return besideMeta(dir), nil
	}
	return beside(dir), nil
}

// ownOfFolder is OwnTokenizer of a run's folder, Hugging Face's or Meta's.
func ownOfFolder(dir string) (*Own, error) {
	list, err := Checkpoints(dir)
	if err != nil {
		return nil, err
	}
	// A checkpoint that is damaged gives way to the one before, as in loading.
	for i, path := range list {
		own, err := OwnTokenizer(path)
		if err == nil || i == len(list)-1 {
			return own, err
		}
	}
	f, err := Open(dir)
	if err != nil {
		return nil, err
	}
	f.Close()
	// The first form that is there is the one that was opened.
	for _, form := range forms() {
		if files, _ := filepath.Glob(filepath.Join(quoteGlob(dir), form.name)); len(files) > 0 { // the pattern is well-formed
			if form.name == partName(0) {
				return besideMeta(dir), nil
			}
			break
		}
	}
	return beside(dir), nil
}

// inGGUF is the tokenizer in a GGUF file, nil if it has none: adapters and
// models of other inputs do without.
func inGGUF(path string) *Own {
	f, err := os.Open(path)
	if err != nil {
		return &Own{From: path, Err: err}
	}
	defer f.Close()
	pairs, err := gguf.ReadPairs(f, func(key string) bool { return key == "tokenizer.ggml.model" })
	if err != nil {
		return &Own{From: path, Err: fmt.Errorf("%s: %w", path, err)}
	}
	switch pairs["tokenizer.ggml.model"] {
	case nil, "", "none", "no_vocab":
		return nil
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return &Own{From: path, Err: err}
	}
	t, err := tokenizer.ParseGGUF(path, f)
	if err != nil {
		return &Own{From: path, Err: err}
	}
	return &Own{Tokenizer: t, From: path, Claims: tokenizer.ClaimsOf(path)}
}

// ownOfCheckpoint is the tokenizer of a checkpoint of llamac.
func ownOfCheckpoint(path string, c Checkpoint) *Own {
	if c.Vocabulary != "" {
		t, err := tokenizer.Parse(path+": its tokenizer", []byte(c.Vocabulary))
		if err != nil {
			return &Own{From: path, Hash: c.Tokenizer, Err: err}
		}
		return &Own{Tokenizer: t, From: path, Hash: c.Tokenizer, content: c.Vocabulary}
	}
	if b := tokenizer.Byte(); c.Tokenizer == b.Hash() {
		return &Own{Tokenizer: b, Hash: c.Tokenizer}
	}
	// A run keeps a copy in its folder, above that of its checkpoints.
	for _, dir := range []string{filepath.Dir(path), filepath.Dir(filepath.Dir(path))} {
		files, _ := filepath.Glob(filepath.Join(quoteGlob(dir), "tokenizer.*")) // the pattern is well-formed
		for _, file := range files {
			if t, err := tokenizer.Open(file); err == nil && t.Hash() == c.Tokenizer {
				return &Own{Tokenizer: t, From: file, Hash: c.Tokenizer}
			}
		}
	}
	return &Own{Hash: c.Tokenizer}
}

// quoteGlob makes a path a pattern that matches itself alone.
func quoteGlob(path string) string {
	if os.PathSeparator == '\\' {
		return path // has no way to quote, and few folders have brackets there
	}
	return strings.NewReplacer(`\`, `\\`, `*`, `\*`, `?`, `\?`, `[`, `\[`).Replace(path)
}

// beside is the tokenizer that lies in the folder of weights.
func beside(dir string) *Own {
	own := first(dir, "tokenizer.json", "tokenizer.model")
	own.Claims = tokenizer.ClaimsOf(dir)
	return own
}

// besideMeta looks into the folder above as well: Meta gives one tokenizer.model
// for the folders of all sizes.
func besideMeta(dir string) *Own {
	own := first(dir, "tokenizer.json", "tokenizer.model", filepath.Join("..", "tokenizer.model"), filepath.Join("..", "tokenizer.json"))
	own.Claims = tokenizer.ClaimsOf(dir)
	if own.Tokenizer != nil && filepath.Dir(own.From) != filepath.Clean(dir) {
		own.Claims = own.Claims.And(tokenizer.ClaimsOf(own.From))
	}
	return own
}

// first is the first of the files that exists and can be read. The next one of the
// same folder is compared with it.
func first(dir string, names ...string) *Own {
	own := &Own{}
	var errs []error
	for _, name := range names {
		path := filepath.Join(dir, name)
		if st, err := os.Stat(path); err != nil || st.IsDir() {
			continue
		}
		// One folder up are other files' own, or copies of these.
		if own.Tokenizer != nil && filepath.Dir(path) != filepath.Dir(own.From) {
			break
		}
		t, err := tokenizer.Open(path)
		switch {
		case err != nil:
			errs = append(errs, err)
			if own.From == "" {
				own.From = path
			}
		case own.Tokenizer == nil:
			own.Tokenizer, own.From = t, path
		default:
			if d := tokenizer.Compare(own.Tokenizer, t); d.Text != "" {
				own.Notes = append(own.Notes, fmt.Sprintf("%s and %s differ: %s", own.From, name, d.Text))
			}
		}
	}
	if own.Tokenizer == nil {
		own.Err = errors.Join(errs...)
		return own
	}
	for _, err := range errs {
		own.Notes = append(own.Notes, fmt.Sprintf("not used: %v", err))
	}
	return own
}

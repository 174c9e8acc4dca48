package data

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
)

// Names of the files of a set other than its shards.
const (
	ManifestFile   = "manifest.json"
	TokenBytesFile = "token-bytes.bin"
)

// manifestFormat names this layout; a change that old readers would misread
// changes it.
const manifestFormat = "llamac data 3"

// Manifest is manifest.json. It holds neither times nor absolute paths, so
// two preparations of the same input are the same bytes.
type Manifest struct {
	Format     string        `json:"format"`
	Key        string        `json:"key"`           // hash of everything that decides the shards' contents
	Inputs     string        `json:"inputs_sha256"` // of InputsFile
	Tokenizer  TokenizerInfo `json:"tokenizer"`
	Validation float64       `json:"validation"` // share of documents held out
	Dedup      bool          `json:"dedup"`      // duplicates dropped across all sources
	Sources    []SourceInfo  `json:"sources"`
}

// TokenizerInfo says which ids the shards hold.
type TokenizerInfo struct {
	Hash       string `json:"hash"`
	Vocab      int    `json:"vocab"`
	BOS        int32  `json:"bos"` // id before each document, -1 for none
	EOS        int32  `json:"eos"` // id after each document, -1 for none
	TokenBytes string `json:"token_bytes_sha256"`
}

// SourceInfo describes one source of the mixture.
type SourceInfo struct {
	Name       string      `json:"name"`
	Kind       string      `json:"kind"`
	Share      float64     `json:"share"`
	Epochs     float64     `json:"epochs"` // epochs the spec expects, 0 when it says nothing
	Files      int         `json:"files"`  // input files
	Dedup      bool        `json:"dedup"`
	Split      string      `json:"split"` // what is held out: "documents" whole, by "position" the end of each; "" for none
	Train      Counts      `json:"train"`
	HeldOut    Counts      `json:"held_out"`
	Duplicates Counts      `json:"duplicates"` // documents dropped as equal to an earlier one
	Beyond     Counts      `json:"beyond"`     // documents dropped because max_bytes was reached
	Empty      int64       `json:"empty"`      // documents without text
	LeftOut    int64       `json:"left_out"`   // documents that the kind of source excludes
	BadDocs    int64       `json:"bad_docs"`   // broken documents skipped on request
	BadFiles   int64       `json:"bad_files"`  // files whose rest was skipped on request
	Shards     []ShardInfo `json:"shards"`
}

// Counts are the sizes of some documents.
type Counts struct {
	Docs   int64 `json:"docs"`
	Bytes  int64 `json:"bytes"`
	Tokens int64 `json:"tokens"`
}

// Add adds o to c.
func (c *Counts) Add(o Counts) {
	c.Docs += o.Docs
	c.Bytes += o.Bytes
	c.Tokens += o.Tokens
}

// ShardInfo names a shard and repeats what its header must say.
// Repeated so that a shard of another set, or of an earlier preparation, is not
// taken for this one's.
type ShardInfo struct {
	File    string `json:"file"`
	HeldOut bool   `json:"held_out,omitempty"`
	Size    int64  `json:"size"`
	SHA256  string `json:"sha256"` // of everything after the header
	Counts
}

// Encode returns the manifest as it is stored.
func (m *Manifest) Encode() ([]byte, error) {
	m.Format = manifestFormat
	b, err := json.MarshalIndent(m, "", "  ")
	return append(b, '\n'), err
}

// ReadManifest reads dir's manifest. The error wraps fs.ErrNotExist when the
// set was never finished.
func ReadManifest(dir string) (*Manifest, error) {
	path := filepath.Join(dir, ManifestFile)
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, &Error{File: dir, Offset: -1, Msg: "not a prepared data set, or one whose preparation has not ended", Err: err}
	}
	m := new(Manifest)
	d := json.NewDecoder(bytes.NewReader(b))
	// A field that this program does not know may change what the shards mean.
	d.DisallowUnknownFields()
	if err := d.Decode(m); err != nil {
		// An older or newer layout is better named by its format than by the
		// first field that does not fit.
		var probe struct{ Format string }
		if json.Unmarshal(b, &probe) == nil && probe.Format != manifestFormat {
			return nil, formatErr(path, probe.Format)
		}
		return nil, &Error{File: path, Offset: d.InputOffset(), Err: err}
	}
	if m.Format != manifestFormat {
		return nil, formatErr(path, m.Format)
	}
	// The manifest may come from anywhere: names and shares are used below
	// without a second look.
	for i, s := range m.Sources {
		if s.Name == "" || s.Share < 0 {
			return nil, fileErr(path, -1, "source %d has name %q and share %g", i, s.Name, s.Share)
		}
		for _, sh := range s.Shards {
			// A manifest must not reach out of its folder.
			if !filepath.IsLocal(sh.File) {
				return nil, fileErr(path, -1, "source %s: shard %q is not a file of the set", s.Name, sh.File)
			}
		}
	}
	return m, nil
}

func formatErr(path, got string) error {
	return fileErr(path, -1, "format is %q, this program reads %q", got, manifestFormat)
}

// sumText is how checksums are written in a manifest.
func sumText(sum [32]byte) string { return fmt.Sprintf("%x", sum) }

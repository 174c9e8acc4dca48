package tokenizer

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// jsonPart is a normalizer, pre-tokenizer, post-processor or decoder of any
// type. Fields whose absence means something else than their zero value are
// pointers. A field that is not listed is an error.
type jsonPart struct {
	Type string `json:"type"`

	// Sequence: parts that apply one after the other.
	Normalizers   []*jsonPart `json:"normalizers"`
	Pretokenizers []*jsonPart `json:"pretokenizers"`
	Processors    []*jsonPart `json:"processors"`
	Decoders      []*jsonPart `json:"decoders"`

	// Prepend, Replace and Split.
	Prepend  string       `json:"prepend"`
	Pattern  *jsonPattern `json:"pattern"`
	Content  string       `json:"content"`
	Behavior string       `json:"behavior"` // what becomes of a match: "Isolated", "Removed", ...
	Invert   bool         `json:"invert"`   // the pattern matches what to keep, not what to cut at

	// Digits, ByteLevel, Metaspace and CharDelimiterSplit.
	IndividualDigits bool   `json:"individual_digits"`
	AddPrefixSpace   *bool  `json:"add_prefix_space"`
	TrimOffsets      *bool  `json:"trim_offsets"` // ids do not depend on it
	UseRegex         *bool  `json:"use_regex"`
	Replacement      string `json:"replacement"`
	StrRep           string `json:"str_rep"` // replacement once more, in old files
	PrependScheme    string `json:"prepend_scheme"`
	Split            *bool  `json:"split"`
	Delimiter        string `json:"delimiter"`

	// Strip, as a normalizer and as a decoder.
	StripLeft  *bool `json:"strip_left"`
	StripRight *bool `json:"strip_right"`
	Start      int   `json:"start"`
	Stop       int   `json:"stop"`

	// Post-processors: what a text becomes, special tokens and itself.
	Single        []templateItem  `json:"single"`
	Pair          json.RawMessage `json:"pair"` // of two texts, which nothing here encodes
	SpecialTokens map[string]struct {
		ID     string   `json:"id"`
		IDs    []int32  `json:"ids"`
		Tokens []string `json:"tokens"`
	} `json:"special_tokens"`
	CLS json.RawMessage `json:"cls"`
	SEP json.RawMessage `json:"sep"`
}

// templateItem is a special token or the text.
type templateItem struct {
	SpecialToken *struct {
		ID     string `json:"id"`
		TypeID int    `json:"type_id"`
	}
	Sequence *struct {
		ID     string `json:"id"`
		TypeID int    `json:"type_id"`
	}
}

// jsonPattern is either a plain string or a regular expression.
//
// In JSON it is an object with one of the two keys.
type jsonPattern struct {
	String *string
	Regex  *string
}

// strictJSON decodes and refuses what v has no field for: in a tokenizer it
// would be a rule that is not followed.
func strictJSON(data []byte, v any) error {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	return d.Decode(v)
}

// readPart reads one of the parts of a file; nil for none.
func readPart(name string, raw json.RawMessage) (*jsonPart, error) {
	if len(raw) == 0 || string(raw) == "null" {
		return nil, nil
	}
	p := new(jsonPart)
	if err := strictJSON(raw, p); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if p.Type == "" {
		return nil, fmt.Errorf("%s has no type", name)
	}
	return p, nil
}

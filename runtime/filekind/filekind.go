// Package filekind says what a file is that is not what its name promises: the
// pointer that git leaves without its large files, the page or the message that a
// server sent instead of them, an archive that was not unpacked.
package filekind

import (
	"bytes"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Head is how many of a file's first bytes Describe wants; more are not looked at.
const Head = 4096

// packed are what other programs write, by their first bytes, and how to get at
// what is inside.
var packed = []struct{ magic, what, unpack string }{
	{"\x1f\x8b", "a gzip file", "gunzip -k"},
	{"\xfd7zXZ\x00", "an xz file", "unxz -k"},
	{"\x28\xb5\x2f\xfd", "a zstd file", "unzstd"},
	{"BZh", "a bzip2 file", "bunzip2 -k"},
	{"PK\x03\x04", "a zip archive", "unzip"},
	{"7z\xbc\xaf\x27\x1c", "a 7z archive", "7z x"},
	{"Rar!\x1a\x07", "a rar archive", "unrar x"},
}

// Describe gives a sentence on what a file is and what to do about it, or "" if it
// is nothing that is known here. head is its beginning, of at most Head bytes, and
// size its length. Whoever reads one of these kinds asks only about the others.
func Describe(path string, head []byte, size int64) string {
	head = head[:min(len(head), Head)]
	for _, p := range packed {
		if bytes.HasPrefix(head, []byte(p.magic)) {
			return fmt.Sprintf("this is %s; unpack it (%s %s) and name what is inside", p.what, p.unpack, filepath.Base(path))
		}
	}
	if len(head) > 262 && string(head[257:262]) == "ustar" {
		return fmt.Sprintf("this is a tar archive; unpack it (tar xf %s) and name what is inside", filepath.Base(path))
	}
	text := bytes.TrimSpace(bytes.TrimPrefix(head, []byte("\xef\xbb\xbf")))
	lower := bytes.ToLower(text[:min(len(text), 64)])
	has := func(prefixes ...string) bool {
		for _, p := range prefixes {
			if bytes.HasPrefix(lower, []byte(p)) {
				return true
			}
		}
		return false
	}
	switch {
	case size == 0:
		return "this is an empty file; fetch it again"
	case has("version https://git-lfs", "version https://hawser"):
		return "this is a git-lfs pointer, which stands for the file in a repository; git lfs pull there fetches the file itself"
	case has("<!doctype html", "<html", "<head", "<body"):
		return "this is an HTML page" + title(text) + ", such as a server sends to people; fetch the file itself, for some models with a login"
	case has("<?xml", "<error"):
		return fmt.Sprintf("this is XML that begins with %.60q, maybe a server's answer; fetch the file again", text)
	}
	if msg := answer(text); msg != "" {
		return fmt.Sprintf("this is a server's answer, %.200q, and not the file; fetch it again, for some models with a login", msg)
	}
	// Messages are sent as plain text as well.
	if size <= Head && len(text) >= 8 && text[0] != '{' && text[0] != '[' && readable(text) {
		return fmt.Sprintf("this is a text that begins with %.60q, maybe a server's answer", text)
	}
	return ""
}

// answer finds the message in a JSON object by which servers say what went wrong,
// "" in any other.
func answer(text []byte) string {
	var object map[string]json.RawMessage
	if json.Unmarshal(text, &object) != nil || len(object) > 5 {
		return ""
	}
	for _, key := range []string{"error", "message", "detail", "errors"} {
		value, ok := object[key]
		if !ok {
			continue
		}
		var s string
		if json.Unmarshal(value, &s) == nil {
			return s
		}
		return string(value)
	}
	return ""
}

// title is what an HTML page is called, in brackets.
func title(page []byte) string {
	lower := strings.ToLower(string(page))
	_, rest, ok := strings.Cut(lower, "<title>")
	at := len(lower) - len(rest)
	// Letters of other scripts may change their length.
	if !ok || len(lower) != len(page) {
		return ""
	}
	if end := strings.Index(rest, "</title"); end > 0 {
		return fmt.Sprintf(" (%.60q)", strings.TrimSpace(string(page[at:at+end])))
	}
	return ""
}

// readable tells whether bytes are letters and not numbers of some format.
func readable(text []byte) bool {
	// The last character may be cut.
	for len(text) > 0 {
		r, n := utf8.DecodeRune(text)
		if r == utf8.RuneError && n == 1 && len(text) >= utf8.UTFMax || unicode.IsControl(r) && r != '\n' && r != '\r' && r != '\t' {
			return false
		}
		text = text[n:]
	}
	return true
}

// Partial tells by a name that something writes a file with which it is not done:
// what download programs call files until then.
func Partial(path string) bool {
	switch filepath.Ext(path) {
	case ".incomplete", ".part", ".partial", ".crdownload", ".download", ".aria2":
		return true
	}
	return false
}

package filekind

import (
	"strings"
	"testing"
)

func TestDescribe(t *testing.T) {
	tar := make([]byte, 512)
	copy(tar, "model.safetensors")
	copy(tar[257:], "ustar\x0000")
	for name, c := range map[string]struct{ head, want string }{
		"pointer":      {"version https://git-lfs.github.com/spec/v1\noid sha256:9e\nsize 499723\n", "git lfs pull"},
		"page":         {"\n<!DOCTYPE html>\n<html><head><title> Sign in </title>", `an HTML page ("Sign in")`},
		"bare page":    {"<HTML><body>404", "an HTML page,"},
		"json error":   {`{"error":"Repository not found"}`, `"Repository not found"`},
		"json detail":  {"\xef\xbb\xbf" + `{"message":"Not Found","documentation_url":"https://x","status":"404"}`, `"Not Found"`},
		"json objects": {`{"errors":[{"code":"MANIFEST_UNKNOWN"}]}`, "MANIFEST_UNKNOWN"},
		"xml":          {`<?xml version="1.0"?><Error><Code>NoSuchKey</Code></Error>`, "is XML"},
		"plain":        {"Entry not found", `"Entry not found"`},
		"gated":        {"Access to model mëta is restricted.\nYou must be logged in.\r\n", "a text that begins with"},
		"gzip":         {"\x1f\x8b\x08\x00", "gunzip -k x.bin"},
		"xz":           {"\xfd7zXZ\x00", "unxz -k x.bin"},
		"zstd":         {"\x28\xb5\x2f\xfd", "unzstd x.bin"},
		"bzip2":        {"BZh91AY", "bunzip2"},
		"zip":          {"PK\x03\x04", "unzip x.bin"},
		"tar":          {string(tar), "tar xf x.bin"},
		"empty":        {"", "an empty file"},
		// What is nothing of the kind.
		"object":  {`{"model_type": "llama", "hidden_size": 3}`, ""},
		"big":     {`{"error": "x", "a": 1, "b": 2, "c": 3, "d": 4, "e": 5}`, ""},
		"numbers": {"\x40\x00\x00\x00\x01\x02\x03\x04", ""},
		"list":    {"[1, 2]", ""},
	} {
		got := Describe("/tmp/x.bin", []byte(c.head), int64(len(c.head)))
		if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
	if got := Describe("x", []byte("words of a long text"), 1<<20); got != "" {
		t.Errorf("a long text: %q", got)
	}
	if !Partial("model.safetensors.incomplete") || Partial("model.safetensors") {
		t.Error("partial files are told by their names")
	}
}

func FuzzDescribe(f *testing.F) {
	f.Add([]byte("<html><title>\u0130</title>"))
	f.Add([]byte(`{"error": null}`))
	f.Fuzz(func(t *testing.T, head []byte) { Describe("x", head, int64(len(head))) })
}

package specs

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Every shipped spec loads from inside the program, in any folder, as the same
// model as from its file, and its paths are meant from the current folder.
func TestFindShipped(t *testing.T) {
	here, err := filepath.Abs(".")
	if err != nil {
		t.Fatal(err)
	}
	t.Chdir(t.TempDir())
	for _, name := range ShippedNames() {
		path, err := Find(name)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		inside, err := Load(path, Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		file, err := Load(filepath.Join(here, name+".jsonnet"), Options{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !bytes.Equal(inside.JSON, file.JSON) || inside.Hash != file.Hash {
			t.Errorf("%s is another spec inside", name)
		}
		if inside.Dir() != "." || file.Dir() != here {
			t.Errorf("%s: paths are meant from %s inside and from %s in the file", name, inside.Dir(), file.Dir())
		}
	}
}

func TestFind(t *testing.T) {
	t.Chdir(t.TempDir())
	for name, text := range map[string]string{"gopher": "\x7fELF\x00\x01", "7b": "{}", "13b.jsonnet": "{}", "umlaut": strings.Repeat("ä", 400)} {
		if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll("65b", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct{ arg, want string }{
		{"gopher", "llamac:gopher.jsonnet"}, // the binary is no spec
		{"gopher.jsonnet", "llamac:gopher.jsonnet"},
		{"65b", "llamac:65b.jsonnet"}, // nor is the folder
		{"7b", "7b"},
		{"7b.jsonnet", "llamac:7b.jsonnet"},
		{"13b", "13b.jsonnet"},
		{"13b.jsonnet", "13b.jsonnet"},
		{"./13b", "./13b.jsonnet"},
		{"umlaut", "umlaut"},
		{"llamac:7b.jsonnet", "llamac:7b.jsonnet"},
		{"./gopher", "./gopher"}, // Load says what is wrong with it
	} {
		if got, err := Find(c.arg); err != nil || got != c.want {
			t.Errorf("%s is %s, %v; want %s", c.arg, got, err, c.want)
		}
	}
	for _, c := range []struct{ arg, want string }{
		{"gophr", "did you mean gopher?"},
		{"llama-33b", "did you mean 33b?"},
		{"165b", "did you mean 65b?"},
		{"tinyllama", "did you mean tinyllama-1.1b?"},
		{"smollm_135m", "did you mean smollm-135m?"},
		{"sub/33b.jsonnet", "sub/33b.jsonnet: no such file; did you mean 33b, inside llamac?"},
		{"", "there are 13b"},
	} {
		if got, err := Find(c.arg); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %s, %v; want %q", c.arg, got, err, c.want)
		}
	}
	if _, err := Load("llamac:other.jsonnet", Options{}); err == nil || !strings.Contains(err.Error(), "llamac has no other.jsonnet inside") {
		t.Errorf("an unknown one inside: %v", err)
	}
}

package eval

import (
	"strconv"
	"strings"
)

// Field is the path of a field of the object at path: "model.dim", or
// names.hf["layers.N.attention.wq"] where the name is no identifier.
func Field(path, name string) string {
	switch {
	case !identifier(name):
		return path + "[" + strconv.Quote(name) + "]"
	case path == "":
		return name
	}
	return path + "." + name
}

// Elem is the path of element i of the array at path.
func Elem(path string, i int) string {
	return path + "[" + strconv.Itoa(i) + "]"
}

// Parent is the path of the object or array that holds path. A field name
// with brackets of its own may need more than one call to be left behind;
// what lies between is the path of nothing.
func Parent(path string) string {
	if strings.HasSuffix(path, "]") {
		return path[:max(0, strings.LastIndexByte(path, '['))]
	}
	return path[:max(0, strings.LastIndexByte(path, '.'))]
}

// identifier tells a name that needs no quotes.
func identifier(s string) bool {
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') && (i == 0 || c < '0' || c > '9') {
			return false
		}
	}
	return s != ""
}

// Package llamac holds, inside the compiler's binary, the source of what
// generated programs link: an installed llamac builds them in any folder,
// without a network.
package llamac

import "embed"

// Sources are the packages that generated programs import, with their licence.
// They import the standard library alone.
//
//go:embed LICENSE NOTICE runtime/*/*.go runtime/*/*.s tokenizer/*.go data/*.go weights/*.go
var Sources embed.FS

package passes

var Canonicalize = Pass{Name: "canonicalize", Doc: "tmp", Run: func(u *Unit) error {
	for _, f := range u.Module.Funcs {
		eliminateDead(f)
	}
	return nil
}}

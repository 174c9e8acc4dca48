package passes

func nop(*Unit) error { return nil }

var Canonicalize = Pass{Name: "canonicalize", Run: nop}
var FuseRMSNorm = Pass{Name: "fuse_rmsnorm", Run: nop}
var FuseRope = Pass{Name: "fuse_rope", Run: nop}
var FuseAttention = Pass{Name: "fuse_attention", Run: nop}
var FuseSwiGLU = Pass{Name: "fuse_swiglu", Run: nop}
var FuseAddRMSNorm = Pass{Name: "fuse_add_rmsnorm", Run: nop}
var FuseLinearXent = Pass{Name: "fuse_linear_xent", Run: nop}
var FuseQKV = Pass{Name: "fuse_qkv", Run: nop}

// Columns: one a pass, and one of generated code. A line is drawn from its text
// in data.lines; names in it become elements with the key of their value in
// data-v, and buffers of a plan with theirs in data-b.

const NEW = 1, CHANGED = 2, GONE = 4, ALTERED = 8, IN_LAYER = 16;

const $ = (selector, root = document) => root.querySelector(selector);
const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
const escapes = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;" };
const esc = (s) => String(s).replace(/[&<>"]/g, (c) => escapes[c]);

// scaled prints a number with three digits and the prefix of its size.
function scaled(n, base, units) {
  let u = 0;
  while (n >= base && u < units.length - 1) n /= base, u++;
  return (u === 0 ? n : n.toPrecision(n >= 1000 ? 4 : 3)) + " " + units[u];
}
const bytes = (n) => scaled(n, 1024, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]);
const flops = (n) => scaled(n, 1000, ["FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP", "EFLOP"]);
const count = (n, word) => n + " " + word + (n === 1 ? "" : /(ch|s)$/.test(word) ? "es" : "s");

// key of a name in a group of functions; see key in snapshot.go.
const key = (group, name) => (name[0] === "%" ? group + name : name);
const nameOf = (k) => (k[1] === "%" ? k.slice(1) : k);
const bufferKey = (program, name) => "b:" + program + "/" + name;

// bufferNamed is the key of a buffer that a program's launch names: its own, or
// one of the tables that all share.
function bufferNamed(program, name) {
  const q = pipeline().programs.find((q) => q.name === program);
  return bufferKey(q && q.buffers.some((b) => b.n === name) ? program : "tables", name);
}

// words are what a difference within a line is counted in.
const words = (s) => s.match(/[%$!@]?[\w.]+|\s+|[^\w\s]/g) || [];

// changedMask marks the characters of a line that its predecessor lacks, by the
// longest common subsequence of their words.
function changedMask(old, text) {
  const a = words(old), b = words(text), n = b.length + 1;
  const common = new Uint16Array((a.length + 1) * n);
  for (let i = a.length - 1; i >= 0; i--)
    for (let j = b.length - 1; j >= 0; j--)
      common[i * n + j] = a[i] === b[j] ? common[(i + 1) * n + j + 1] + 1 : Math.max(common[(i + 1) * n + j], common[i * n + j + 1]);
  const mask = new Uint8Array(text.length);
  for (let i = 0, j = 0, at = 0; j < b.length; ) {
    if (i < a.length && a[i] === b[j]) at += b[j].length, i++, j++;
    else if (i < a.length && common[(i + 1) * n + j] >= common[i * n + j + 1]) i++;
    else mask.fill(1, at, at + b[j].length), at += b[j].length, j++;
  }
  // Marks join over what lies between names, and do not end in it.
  for (const m of text.matchAll(/[^\w%$!]+/g)) {
    const end = m.index + m[0].length;
    mask.fill(mask[m.index - 1] && mask[end] ? 1 : 0, m.index, end);
  }
  return mask;
}

// parts finds where the parts of a graph's line begin: what it defines, the op,
// attributes, type.
function parts(text) {
  const eq = text[0] === "%" ? text.indexOf(" = ") : -1;
  const op = eq < 0 ? 0 : eq + 3;
  const open = text.indexOf("(", op);
  const type = text.lastIndexOf(" : ");
  const close = text.indexOf(")", open);
  const attr = text.indexOf(" {", close);
  return { def: Math.max(eq, 0), op, open, attr: attr < 0 ? type : attr, type: type < 0 ? text.length : type };
}

const nodeToken = /([%$!][A-Za-z_][\w.]*)|(@[\w.]+)|([\w.]+)|(\s+|[^\w\s%$!@]+|[%$!@])/g;

// marked wraps the characters that a mask marks. An arrow is not broken.
function marked(text, from, mask) {
  if (text === "->") return "<span class=arrow>-&gt;</span>";
  if (!mask) return esc(text);
  let out = "", i = 0;
  while (i < text.length) {
    let j = i;
    while (j < text.length && mask[from + j] === mask[from + i]) j++;
    const part = esc(text.slice(i, j));
    out += mask[from + i] ? "<mark>" + part + "</mark>" : part;
    i = j;
  }
  return out;
}

// nodeHTML draws a line of a graph. seen collects the keys of its values, defs
// of those that it defines.
function nodeHTML(text, group, mask, seen, defs) {
  const p = parts(text);
  let out = "", open = "";
  const region = (i) => (i >= p.type ? "t" : i >= p.attr ? "a" : "");
  let skip = 0; // to the end of a long list
  for (const m of text.matchAll(nodeToken)) {
    const i = m.index, r = region(i);
    if (i < skip) {
      if (i + m[0].length > skip) out += esc(m[0].slice(skip - i));
      continue;
    }
    const list = r === "a" && /^[^\w]*\[/.test(m[0]) ? text.slice(i).match(/\[[^\]]*\]/) : null;
    if (list && list[0].length > 60) {
      const n = list[0].split(", ").length;
      skip = i + list.index + list[0].length;
      out += `<span title="${esc(list[0])}">${esc(m[0].slice(0, m[0].indexOf("[") + 1) + list[0].slice(1).split(", ").slice(0, 2).map((x) => (+x).toPrecision(3)).join(", "))}, … ${n} numbers]</span>`;
      continue;
    }
    if (r !== open) out += (open ? "</i>" : "") + (r ? `<i class=${r}>` : ""), (open = r);
    const inner = marked(m[0], i, mask);
    if (m[1] && r !== "a") {
      const k = key(group, m[1]);
      if (seen) seen.add(k);
      if (defs && i < p.def) defs.push(k);
      out += `<span data-v="${esc(k)}"${m[1][0] === "%" ? "" : " class=w"}>${inner}</span>`;
    } else if (i === p.op && m[3]) out += `<b>${inner}</b>`;
    else out += inner;
  }
  return out + (open ? "</i>" : "");
}

// headHTML draws the first line of a function; it defines the parameters.
function headHTML(text, group, mask, seen, defs) {
  const end = text.indexOf(" -> ");
  let out = "";
  const saves = text.indexOf(" saves("), body = saves < 0 ? text.length : saves;
  for (const m of text.matchAll(nodeToken)) {
    const inner = marked(m[0], m.index, mask);
    if (!m[1]) {
      out += inner;
      continue;
    }
    const k = key(group, m[1]);
    if (seen) seen.add(k);
    if (defs && m.index < end && m.index < body) defs.push(k);
    out += `<span data-v="${esc(k)}">${inner}</span>`;
  }
  return out;
}

const planToken = /(%[\w.]+)|([$!][A-Za-z_][\w.]*)|(\bas [\w.]+)|(: (?:bool|bf16|[fiq]\w+)\[[^\]]*\]| flops \d+$)|([\w.]+)|(\s+|[^\w\s%$!]+|[%$!])/g;

// planHTML draws a line of a plan: names with a % are buffers, and "as x" says
// which value is meant where the buffer's name is not its own.
function planHTML(text, group, program, mask, defs) {
  const word = /^\s*(\w+)/.exec(text);
  const kind = word ? word[1] : "";
  let out = "", n = 0;
  const results = text.indexOf(" -> (");
  for (const m of text.matchAll(planToken)) {
    const i = m.index, inner = marked(m[0], i, mask);
    if (m[1]) {
      const bare = !/^[^,()]*? as /.test(text.slice(i + m[0].length));
      const k = group + m[1];
      out += `<span data-b="${esc(bufferNamed(program, m[1].slice(1)))}"${bare && kind !== "buffer" ? ` data-v="${esc(k)}"` : ""}>${inner}</span>`;
      if (bare && kind === "launch" && results >= 0 && i > results) defs.push(k);
    } else if (m[2]) out += `<span data-v="${esc(m[2])}" class=w>${inner}</span>`;
    else if (m[3]) {
      const k = group + "%" + m[0].slice(3);
      out += `<span data-v="${esc(k)}">${inner}</span>`;
      if (kind === "launch" && results >= 0 && i > results) defs.push(k);
    } else if (m[4]) out += `<i class=t>${inner}</i>`;
    else if (results >= 0 && m[0] === "->") out += "<br>" + inner;
    else if (m[5] && n++ === 0) out += `<span class=word>${inner}</span>`;
    else if (m[5] && kind === "launch" && n === 3) out += `<b>${inner}</b>`;
    else out += inner;
  }
  return out;
}

// share is the part of a program's work that a line does, for its margin.
function share(line, group, col) {
  const total = col.flops, work = (line.f || 0) * (group === "l" ? data.layers : 1);
  const part = total ? work / total : 0;
  return part >= 0.01 ? `<em>${Math.round(part * 100)}%</em>` : "";
}

function rowHTML(col, block, r, seen, isHead) {
  const [index, all, old] = r;
  const flags = col.same ? all & ~(NEW | CHANGED) : all;
  const line = data.lines[index];
  const mask = flags & CHANGED && old >= 0 ? changedMask(data.lines[old].t, line.t) : null;
  const cls = ["r"];
  if (flags & NEW) cls.push("new");
  if (flags & CHANGED) cls.push("changed");
  if (flags & GONE) cls.push("gone");
  if (flags & ALTERED) cls.push("altered");
  const group = flags & IN_LAYER ? "l" : block.group || "m";
  const defs = [];
  let html;
  if (col.plan && block.group) html = isHead ? esc(line.t) : planHTML(line.t, group, block.name, mask, defs);
  else if (isHead) html = headHTML(line.t, group, mask, seen, defs);
  else if (block.group) html = share(line, group, col) + nodeHTML(line.t, group, mask, seen, defs);
  else html = headHTML(line.t, "m", mask, seen, defs);
  const indent = /^ */.exec(line.t)[0].length;
  if (indent) cls.push("in" + Math.min(2, indent / 2));
  if (isHead) cls.push("sig");
  return `<div class="${cls.join(" ")}" data-l=${index}${defs.length ? ` data-d="${esc(defs.join(" "))}"` : ""}>${html}</div>`;
}

// blockHTML draws a function, a program or declarations.
function blockHTML(col, block, seen) {
  const rows = block.rows.map((r) => rowHTML(col, block, r, seen, false)).join("");
  if (!block.group) {
    if (!block.rows.length) return "";
    const changed = block.rows.some((r) => r[1] & (NEW | CHANGED));
    const open = changed || (col.plan && block.name === "sizes");
    const about = { sizes: col.plan ? "sizes and arenas" : "sizes", weights: count(block.rows.filter((r) => /^weight/.test(data.lines[r[0]].t)).length, "weight") };
    return `<details${open ? " open" : ""}><summary>${about[block.name]}</summary>${rows}</details>`;
  }
  const n = col.plan ? block.rows.filter((r) => /^\s*launch /.test(data.lines[r[0]].t)).length : block.rows.length;
  return `<section><h3>${esc(block.name)}<small>${count(n, col.plan ? "launch" : "node")}</small></h3>${rowHTML(col, block, block.head, seen, true)}${rows}</section>`;
}

// deltas says in three numbers what a pass did.
function deltas(col) {
  const d = [["new", "+", "new lines"], ["changed", "~", "rewritten lines"], ["gone", "−", "lines gone"]];
  return d.filter(([k]) => col[k]).map(([k, sign, what]) => `<span class=${k} title="${col[k]} ${what}">${sign}${col[k]}</span>`).join(" ");
}

const rules = (col) => (col.stats || []).filter((s) => s.n).map((s) => `<span title="rule ${esc(s.r)} fired ${count(s.n, "time")}">${esc(s.r)}<b>${s.n.toLocaleString("en")}</b></span>`).join(" ");

function columnHTML(col, i, shown) {
  const seen = (col.keys = new Set());
  const body = shown.blocks.map((b) => blockHTML(shown === col ? col : { ...shown, same: true }, b, seen)).join("");
  const unit = col.plan ? "launch" : "node";
  return `<article class="col${col.same ? " same folded" : ""}" data-c=${i} tabindex=-1>
<header title="${esc(col.doc)}"><span class=no>${i}</span><h2>${esc(col.pass)}</h2><span class=delta>${col.same ? "no change" : deltas(col)}</span>
<p class=doc>${esc(col.doc)}</p><p class=cost>${count(col.nodes, unit)} · ${flops(col.flops)}${col.plan ? "" : ` · ${bytes(col.moved)} read and written`}</p><p class=rules>${rules(col)}</p></header>
<div class=body>${body}</div></article>`;
}

// codeHTML draws the generated files. Comments above calls are lines of the
// graph, so their values can be followed.
function codeHTML(pipe, i) {
  if (!data.sources.length) return `<article class=col data-c=${i}><header><h2>Go</h2><p class=doc>${esc(data.note || "nothing was generated")}</p></header><div class=body></div></article>`;
  const own = new Map(); // "file:line" -> launch
  for (const q of pipe.programs)
    for (const x of q.launches)
      for (let n = 0; x.file >= 0 && n < x.count; n++) own.set(x.file + ":" + (x.line + n), x);
  const used = new Set([...own.keys()].map((k) => +k.split(":")[0]));
  const files = data.sources.map((f, n) => {
    if (!used.has(n)) return "";
    const lines = f.lines.map((text, at) => {
      const x = own.get(n + ":" + at);
      const indent = /^\t*/.exec(text)[0].length;
      const t = text.slice(indent);
      let html = esc(t), cls = "r go";
      if (x && t.startsWith("// ")) html = "// " + nodeHTML(t.slice(3), x.g, null, null, null), (cls += " ir");
      else if (t.startsWith("//")) cls += " note";
      else if (x) cls += " call";
      return `<div class="${cls} in${Math.min(4, indent)}" data-n=${at + 1}>${html || " "}</div>`;
    });
    return `<section data-f=${n}><h3>${esc(f.name)}<small>${count(f.lines.length, "line")}</small></h3>${lines.join("")}</section>`;
  });
  return `<article class="col code" data-c=${i} tabindex=-1><header title="The code that comes out."><span class=no>${i}</span><h2>Go</h2><span class=delta></span>
<p class=doc>The program that comes out: the graph's line above each call.</p><p class=cost>${data.figure.go_lines.toLocaleString("en")} lines in ${count(data.figure.go_files, "file")}</p><p class=rules></p></header>
<div class=body>${files.join("")}</div></article>`;
}

// stripHTML draws the overview: a bar a pass, as high as it leaves nodes.
function stripHTML(pipe) {
  const most = Math.max(...pipe.columns.map((c) => c.nodes));
  const name = (s) => esc(s).replace(/_/g, "_<wbr>");
  const cells = pipe.columns.map((c, i) => {
    const h = Math.max(2, Math.round((20 * c.nodes) / most));
    return `<button data-c=${i} class="${c.same ? "same" : ""}" title="${esc(c.pass)}: ${count(c.nodes, c.plan ? "launch" : "node")}${c.same ? ", no change" : ""}. ${esc(c.doc)}"><i style="height:${h}px"></i><b>${c.nodes}</b><span>${name(c.pass)}</span></button>`;
  });
  cells.push(`<button data-c=${pipe.columns.length} class=code title="The code that comes out."><i style="height:0"></i><b></b><span>Go</span></button>`);
  return cells.join("");
}

// found[i] says where names stand in column i: elements by value, elements by
// buffer, rows by the value that they define.
let found = [];

function findNames() {
  found = $$("#columns > .col").map((col) => {
    const f = { v: new Map(), b: new Map(), d: new Map() };
    const add = (map, k, e) => (map.has(k) ? map.get(k).push(e) : map.set(k, [e]));
    for (const e of $$("[data-v], [data-b]", col)) {
      if (e.dataset.v) add(f.v, e.dataset.v, e);
      if (e.dataset.b) add(f.b, e.dataset.b, e);
    }
    for (const e of $$("[data-d]", col)) for (const k of e.dataset.d.split(" ")) add(f.d, k, e);
    return f;
  });
}
const places = (i, kind, k) => found[i][kind].get(k) || [];

// drawColumns draws a pipeline.
function drawColumns(pipe) {
  let shown = null;
  const html = pipe.columns.map((c, i) => {
    if (!c.same) shown = c;
    return columnHTML(c, i, shown);
  });
  html.push(codeHTML(pipe, pipe.columns.length));
  $("#columns").innerHTML = html.join("");
  $("#strip").innerHTML = stripHTML(pipe);
  findNames();
  watchColumns();
}

// watchColumns marks in the strip which columns are in sight.
let watcher;
function watchColumns() {
  if (watcher) watcher.disconnect();
  watcher = new IntersectionObserver(
    (entries) => {
      for (const e of entries) $(`#strip [data-c="${e.target.dataset.c}"]`)?.classList.toggle("seen", e.isIntersecting);
    },
    { root: $("#columns"), threshold: 0.6 },
  );
  for (const c of $$("#columns > .col")) watcher.observe(c);
}

// showColumn brings a column to the left edge, unfolded.
function showColumn(i, unfold = true) {
  const el = $(`#columns > [data-c="${i}"]`);
  if (unfold) el.classList.remove("folded");
  $("#columns").scrollLeft = el.offsetLeft - Math.min(60, el.offsetLeft);
  return el;
}

// filterColumns hides the lines that lack a word of the filter.
function filterColumns(text) {
  const want = text.toLowerCase().split(/\s+/).filter(Boolean);
  let hits = 0;
  for (const r of $$("#columns .r")) {
    const ok = want.every((w) => r.textContent.toLowerCase().includes(w));
    r.hidden = !ok;
    if (ok && want.length) hits++;
  }
  for (const s of $$("#columns section, #columns details")) s.hidden = !$(".r:not([hidden])", s);
  $("#filter output").textContent = want.length ? hits : "";
  return want;
}

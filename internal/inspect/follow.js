// Following: what became of a value in each column, where it lies, and which
// call computes it.

const dtypeBytes = { f32: 4, bf16: 2, f16: 2, f64: 8, i8: 1, i32: 4, i64: 8, bool: 1 };

// typeBytes is the storage of a type at the sizes of the compilation, NaN if
// one is not known. Inference has one flat list of tokens: a batch of one.
function typeBytes(type) {
  const m = /^(\w+)\[(.*)\]$/.exec(type);
  if (!m) return NaN;
  let n = dtypeBytes[m[1]];
  for (const d of m[2].split(", ").filter(Boolean))
    for (const f of d.split("*")) {
      const size = /^\d+$/.test(f) ? +f : f === "B" && state.mode === "infer" ? 1 : data.sizes.find((s) => s.n === f)?.s;
      n *= size ?? NaN;
    }
  return n;
}

// trace follows a value through a pipeline's columns: own where it is there
// itself, into where a pass has made it part of others.
function trace(pipe, k) {
  let now = [k], lost = false, born = false;
  const steps = pipe.columns.map((col) => {
    if (!lost && born && col.fates && k in col.fates) lost = true;
    if (lost && col.fates) now = [...new Set(now.flatMap((x) => col.fates[x] || [x]))];
    const own = !lost && !col.plan && col.keys.has(k);
    born = born || own;
    return { own, into: lost ? now : [] };
  });
  return { steps, final: lost ? now : [k], lost, born };
}

// definition is a column's row that defines a value.
const definition = (i, k) => places(i, "d", k)[0];
const lineOf = (row) => data.lines[row.dataset.l];

// typeIn is the type that a row gives a value, as a result or a parameter.
function typeIn(row, k) {
  const text = lineOf(row).t, name = nameOf(k);
  if (row.classList.contains("sig")) {
    const at = text.indexOf(name + ": ");
    return at < 0 ? "" : /^\w+\[[^\]]*\]/.exec(text.slice(at + name.length + 2))?.[0] || "";
  }
  const p = parts(text);
  const i = text.slice(0, p.def).split(", ").indexOf(name);
  return text.slice(p.type + 3).match(/\w+\[[^\]]*\]/g)?.[i] || "";
}

// select follows a value or a buffer, or nothing. anchor is the row that was
// clicked: the other columns bring the value to its height.
let lit = []; // [element, class] of what is marked
function select(k, anchor) {
  if (k && !found.some((f) => f.v.has(k) || f.b.has(k))) k = ""; // of another pipeline, or of none
  state.value = k || "";
  for (const [e, c] of lit) e.classList.remove(c);
  lit = [];
  const pipe = pipeline(), code = pipe.columns.length;
  const light = (list, cls) => list.forEach((e) => (e.classList.add(cls), lit.push([e, cls])));
  let rowIn = () => null; // the row of a column to align
  if (!k) {
    $("#follow").innerHTML = helpHTML();
    highlightMap(null, []);
  } else if (k.startsWith("b:")) {
    const { q, b } = findBuffer(pipe, k);
    for (let i = 0; i <= code; i++) {
      light(places(i, "b", k), "on");
      for (const v of b.v) light(places(i, "v", v), "home");
    }
    $("#follow").innerHTML = bufferHTML(pipe, q, b);
    highlightMap(k, b.v);
    rowIn = (i) => places(i, "b", k)[0]?.closest(".r") || b.v.map((v) => definition(i, v)).find(Boolean);
  } else {
    const t = trace(pipe, k);
    const homes = t.final.flatMap((x) => (pipe.places[x] || []).filter((p) => !p.g).map((p) => homeOf(pipe, p)));
    const cls = t.lost ? "into" : "on";
    const keysIn = (i) => (i === code || pipe.columns[i].plan ? t.final : t.steps[i].own ? [k] : t.steps[i].into);
    for (let i = 0; i <= code; i++) {
      const own = i < code && t.steps[i].own;
      for (const x of keysIn(i)) {
        light(places(i, "v", x), own ? "on" : cls);
        light(places(i, "d", x), "def");
      }
      for (const h of new Set(homes)) light(places(i, "b", h), "home");
    }
    if (k[1] !== "%") found.forEach((f, i) => light(places(i, "v", k), "on")); // weights and state are everywhere
    const calls = callsOf(pipe, t.final);
    for (const c of calls) for (let n = 0; n < c.x.count; n++) light([codeRow(c.x, n)], c.defines ? "def" : "use");
    $("#follow").innerHTML = valueHTML(pipe, k, t, calls);
    highlightMap(homes[0], t.final);
    rowIn = (i) => {
      if (i === code) return calls.length ? codeRow((calls.find((c) => c.defines) || calls[0]).x, 0) : null;
      for (const x of keysIn(i)) {
        const row = definition(i, x) || places(i, "v", x)[0]?.closest(".r");
        if (row && !row.closest("details:not([open])")) return row;
      }
      return null;
    };
  }
  if (k && anchor !== undefined) align(anchor, rowIn);
  saveHash();
}

// align scrolls rows to the height of an element, or a third down where there
// is none. It measures all before it moves any.
function align(anchor, rowIn) {
  const from = anchor && anchor.closest(".col");
  const moves = [];
  $$("#columns > .col").forEach((col, i) => {
    const row = col !== from && rowIn(i), body = $(".body", col);
    if (!row || !body.clientHeight) return;
    const want = from ? anchor.getBoundingClientRect().top : body.getBoundingClientRect().top + body.clientHeight / 3;
    moves.push([body, body.scrollTop + row.getBoundingClientRect().top - want]);
  });
  for (const [body, to] of moves) body.scrollTop = to;
}

const codeRow = (x, n) => $(`#columns section[data-f="${x.file}"]`).children[x.line + n + 1]; // behind its heading

// homeOf is the key of the buffer of a place.
function homeOf(pipe, p) {
  const q = p.t ? pipe.programs.find((q) => q.name === "tables") : pipe.programs[p.p];
  return bufferKey(q.name, q.buffers[p.b].n);
}

function findBuffer(pipe, k) {
  const [, program, name] = /^b:([^/]*)\/(.*)$/.exec(k) || [];
  const q = pipe.programs.find((q) => q.name === program);
  return { q, b: q?.buffers.find((b) => b.n === name) };
}

// callsOf lists the launches whose node reads or defines one of the values.
function callsOf(pipe, keys) {
  const out = [];
  for (const q of pipe.programs)
    for (const x of q.launches) {
      if (x.t < 0 || x.file < 0) continue;
      const text = data.lines[x.t].t, def = parts(text).def;
      const names = keys.filter((k) => k[1] !== "%" || k[0] === x.g).map(nameOf);
      const hit = (s) => (s.match(/[%$!][\w.]+/g) || []).some((w) => names.includes(w));
      const defines = hit(text.slice(0, def));
      if (defines || hit(text.slice(def))) out.push({ q, x, defines });
    }
  return out;
}

const link = (k, text) => `<a href="#" data-go="${esc(k)}">${esc(text || nameOf(k))}</a>`;
const jump = (i, text) => `<a href="#" data-col=${i}>${esc(text)}</a>`;
const relatives = [["gradient", (n) => "%d." + n], ["made again in the backward", (n) => "%" + n + ".again"], ["moved", (n) => "%" + n + ".moved"]];

// valueHTML tells a value's story.
function valueHTML(pipe, k, t, calls) {
  const group = k[1] === "%" ? (k[0] === "l" ? "of a layer" : "of the program") : k[0] === "$" ? "weight" : "state";
  let type = "", work = 0, told = "", steps = [];
  const lastOwn = t.steps.findLastIndex((s) => s.own);
  pipe.columns.forEach((col, i) => {
    if (col.plan || col.same) return;
    const s = t.steps[i], before = t.steps[i - 1];
    const fired = rules(col);
    if (s.own) {
      const row = definition(i, k);
      const text = row ? (row.classList.contains("sig") ? "parameter of " + row.closest("section").querySelector("h3").firstChild.data : lineOf(row).t.slice(parts(lineOf(row).t).op).replace(/ : .*/, "")) : "";
      if (row) (type = typeIn(row, k) || type), (work = lineOf(row).f || 0);
      if (text !== told) steps.push(`<li class=${told ? "changed" : "new"}>${jump(i, col.pass)}${i > 0 ? fired : ""}<code>${esc(text)}</code></li>`);
      told = text;
    } else if (before && before.own) {
      steps.push(s.into.length
        ? `<li class=gone>${jump(i, col.pass)}${fired}<span>went into ${s.into.map((x) => link(x)).join(", ")}</span></li>`
        : `<li class=gone>${jump(i, col.pass)}${fired}<span>nobody reads it any more</span></li>`);
    }
  });
  const facts = [type && `<code>${esc(type)}</code>`, type && !isNaN(typeBytes(type)) && bytes(typeBytes(type)), work && flops(work) + (k[0] === "l" ? ` a layer` : "")];
  const family = k[1] === "%" ? relatives.map(([what, f]) => [what, k[0] + f(k.slice(2))]) : [];
  const base = k[1] === "%" && /^%(d\.)?(.*?)(\.again|\.moved)?$/.exec(k.slice(1));
  if (base && k.slice(1) !== "%" + base[2]) family.unshift(["of", k[0] + "%" + base[2]]);
  const related = family.filter(([, x]) => pipe.columns.some((c) => c.keys.has(x))).map(([what, x]) => `${what} ${link(x)}`);
  if (k[0] === "$") steps.push(weightHTML(k));
  return `<div class=bar><h2><span class=on>${esc(nameOf(k))}</span></h2><p>${group}</p><button data-close title="Esc">×</button></div>
<p class=facts>${facts.filter(Boolean).join(" · ")}</p>
<ol>${steps.join("")}${placesHTML(pipe, t)}${callsHTML(pipe, calls)}</ol>
${related.length ? `<p class=related>${related.join(" · ")}</p>` : ""}`;
}

// weightHTML says where a weight lies.
function weightHTML(k) {
  const w = data.weights.find((w) => "$" + w.n === k);
  if (!w) return "";
  const layer = w.l ? ` ${w.s < 0 ? "−" : "+"} l·${Math.abs(w.s).toLocaleString("en")}, ${w.l} layers` : "";
  return `<li class=place><a>plan</a><code>${esc(w.t)}</code><span>arena weights at ${w.o.toLocaleString("en")}${layer} · ${bytes(w.b)}${w.l ? " a layer" : ""}; gradient and moments at the same place of theirs</span></li>`;
}

// placesHTML says where a value lies in each program.
function placesHTML(pipe, t) {
  const at = pipe.columns.length - 1;
  const seen = new Set();
  return t.final.flatMap((k) => pipe.places[k] || []).map((p) => {
    const q = pipe.programs[p.p];
    if (p.g) return `<li class=place>${jump(at, q.name)}<span>written straight to the gradient of ${link(p.g)}</span></li>`;
    const home = homeOf(pipe, p);
    if (seen.has(home + q.name)) return "";
    seen.add(home + q.name);
    const owner = p.t ? pipe.programs.find((x) => x.name === "tables") : q;
    const b = owner.buffers[p.b];
    const cols = p.ld ? `, columns ${p.c || 0}–${(p.c || 0) + p.w - 1} of ${p.ld}` : "";
    return `<li class=place>${jump(at, q.name)}<span>buffer ${link(home, "%" + b.n)}${cols}: ${whereHTML(owner, b)}</span>${lifeHTML(owner, b)}</li>`;
  }).join("");
}

// whereHTML is a buffer's place in its arena.
function whereHTML(q, b) {
  if (b.r === "input") return `handed in · ${bytes(b.b)}`;
  const what = { saved: "stored for the backward", scratch: "scratch", table: "computed once" }[b.r];
  return `arena ${esc(q.arena)}, ${what}, at ${b.o.toLocaleString("en")}${b.s ? ` + l·${b.s.toLocaleString("en")}` : ""} · ${bytes(b.b)}${b.s ? " a layer" : ""}`;
}

// lifeHTML draws when a buffer lives.
function lifeHTML(q, b) {
  const n = q.times.length;
  if (!n || b.r === "input" || b.r === "table") return "";
  const pct = (x) => ((100 * x) / n).toFixed(2) + "%";
  const loops = q.loops.map((l) => `<i style="left:${pct(l.begin)};width:${pct(l.end - l.begin + 1)}"></i>`).join("");
  return `<div class=life title="lives from time ${b.f} to ${b.l} of ${n}; the shaded parts are the layers' loops">${loops}<b style="left:${pct(b.f)};width:${pct(b.l - b.f + 1)}"></b></div>`;
}

// callsHTML quotes the calls that define a value, and counts the others.
function callsHTML(pipe, calls) {
  const at = pipe.columns.length;
  const quote = (c) => {
    const f = data.sources[c.x.file];
    const code = f.lines.slice(c.x.line + 1, c.x.line + c.x.count).map((l) => l.trim()).join("\n");
    return `<li class=call><a href="#" data-col=${at} data-f=${c.x.file} data-n=${c.x.line + 1}>${esc(f.name)}:${c.x.line + 2}</a><small>${esc(c.q.name)}</small><code>${esc(code)}</code></li>`;
  };
  const made = calls.filter((c) => c.defines);
  const read = calls.filter((c) => !c.defines);
  const list = read.map((c) => `<a href="#" data-col=${at} data-f=${c.x.file} data-n=${c.x.line + 1}>${esc(data.sources[c.x.file].name)}:${c.x.line + 2}</a>`);
  return made.map(quote).join("") + (list.length ? `<li class=call><span>read at ${list.join(", ")}</span></li>` : "");
}

// bufferHTML tells what a buffer holds.
function bufferHTML(pipe, q, b) {
  return `<div class=bar><h2><span class=home>%${esc(b.n)}</span></h2><p>buffer of ${esc(q.name)}</p><button data-close title="Esc">×</button></div>
<p class=facts><code>${esc(b.t)}</code> · ${whereHTML(q, b)}</p>${lifeHTML(q, b)}
<p>${b.v.length > 1 ? "holds, one after or beside the other," : "holds"} ${b.v.map((v) => link(v)).join(", ")}</p>`;
}

function helpHTML() {
  return `<div class=bar><h2>Follow a value</h2></div>
<p>Click any name, in the graph, the plan, the code or the memory map. It lights up in every column, which scrolls to it; here stands what each pass made of it, where it lies and which call computes it.</p>
<p class=legend><span class="r new">came with this pass</span><span class="r changed">rewritten by it, <mark>the change</mark></span><span class="r gone">taken away by the next</span><span class="r altered">rewritten by the next</span></p>
<p><kbd>/</kbd> filter <kbd>←</kbd><kbd>→</kbd> passes <kbd>Esc</kbd> let go. Percentages are shares of the program's FLOPs.</p>`;
}

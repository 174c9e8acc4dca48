// The memory map: time to the right, offsets upwards, a rectangle for each
// buffer's life. One view draws a layer's block once and the layers' loops as
// they are written; the other unrolls them, and the stack of stored blocks
// grows in the forward and shrinks in the backward.

const kindOf = (b) => (b.r === "saved" ? "saved" : b.n.endsWith(".again") ? "again" : b.n.startsWith("d.") ? "grad" : "scratch");
const kinds = { saved: "stored for the backward", scratch: "forward", again: "made again", grad: "gradients" };
const placed = (b) => b.r === "saved" || b.r === "scratch";

let map = null; // what the drawing means: see drawMap

// drawMap draws the program that the state names.
function drawMap() {
  const pipe = pipeline();
  const list = pipe.programs.filter((q) => q.buffers.some(placed) && q.times.length);
  const q = list.find((q) => q.name === state.program) || list[0];
  const box = $("#map");
  if (!q) {
    box.textContent = "This program needs no memory of its own.";
    return;
  }
  const unrolled = state.view === "step" && q.loops.length > 0;
  switches($("#programs"), list.map((p) => [p.name, p.name]), q.name, (name) => ((state.program = name), drawMap(), saveHash()));
  switches($("#views"), q.loops.length ? [["layer", "one layer"], ["step", "all layers"]] : [], unrolled ? "step" : "layer", (v) => ((state.view = v), drawMap(), saveHash()));
  const layers = q.block ? Math.max(...q.loops.map((l) => l.to)) : 0;
  const stored = q.buffers.filter((b) => b.r === "saved");
  const ends = Math.max(0, ...stored.map((b) => b.o - b.p + b.to * b.s)); // of all blocks
  const tail = q.saved - ends; // the stack's result, behind the last block
  const fit = q.scratch > 0 ? (100 * q.live) / q.scratch : 100;
  $("#arena").title = "arena " + q.arena;
  $("#arena").innerHTML = `<b>${bytes(q.saved + q.scratch)}</b>` +
    (layers ? (q.perLayer ? ` = ${layers} × <b>${bytes(q.perLayer)}</b>` : ` = <b>${bytes(ends)}</b> in ${layers} layers`) + ` stored + ${bytes(tail)} result` : "") +
    ` ${layers ? "+ " : "= "}<b>${bytes(q.scratch)}</b> scratch` + (fit < 99.95 ? ` (${bytes(q.live)} alive at most)` : "");
  const W = Math.max(320, box.clientWidth), H = Math.max(150, box.clientHeight);
  const area = { left: 66, right: W - 8, top: 18, bottom: H - (unrolled ? 5 : 22) };
  map = { q, layers, ends, tail, area, W, H, unrolled };
  const inner = unrolled ? stepView(map) : layerView(map);
  box.innerHTML = `<svg class="${unrolled ? "step" : ""}" viewBox="0 0 ${W} ${H}" width="${W}" height="${H}" role="img" aria-label="lives of the buffers of ${esc(q.name)}">${inner}<line id="now" x1=0 x2=0 y1=${area.top} y2=${area.bottom} visibility=hidden /></svg><p class=legend>${legend(q, unrolled).map(([k, what]) => `<span><i class=${k}></i>${what}</span>`).join("")}</p>`;
  markMap();
}

// legend lists the kinds of rectangles that are there.
function legend(q, unrolled) {
  const there = Object.entries(kinds).filter(([k]) => q.buffers.some((b) => placed(b) && kindOf(b) === k));
  return unrolled ? [...there.filter(([k]) => k === "saved"), ["scratch", "scratch, the most in each part"]] : there;
}

function rect(b, x0, x1, y0, y1, extra = "") {
  const k = bufferKey(map.q.name, b.n);
  return `<rect class="${kindOf(b)}" data-b="${esc(k)}" x="${x0.toFixed(1)}" y="${y1.toFixed(1)}" width="${Math.max(0.6, x1 - x0).toFixed(1)}" height="${Math.max(0.6, y0 - y1).toFixed(1)}"${extra}/>`;
}

// label writes a name into a rectangle that has room for it.
function label(text, x0, x1, y0, y1) {
  if (y0 - y1 < 10 || x1 - x0 < 24) return "";
  const room = Math.floor((x1 - x0 - 6) / 5.6);
  const short = text.length > room ? text.slice(0, Math.max(1, room - 1)) + "…" : text;
  return `<text x="${(x0 + 4).toFixed(1)}" y="${(y1 + Math.min(12, (y0 - y1) / 2 + 4)).toFixed(1)}">${esc(short)}</text>`;
}

function axis(ticks) {
  return ticks.map(([y, text, cls]) => `<line class="rule ${cls || ""}" x1=${map.area.left - 4} x2=${map.area.right} y1=${y.toFixed(1)} y2=${y.toFixed(1)} /><text class=axis x=${map.area.left - 7} y=${(y + 3.5).toFixed(1)}>${esc(text)}</text>`).join("");
}

// layerView draws each buffer once.
function layerView(m) {
  const { q, area } = m, n = q.times.length;
  const total = q.block + Math.max(q.zone, m.tail);
  const x = (t) => area.left + ((area.right - area.left) * t) / n;
  const y = (off) => area.bottom - ((area.bottom - area.top) * off) / total;
  m.timeAt = (px) => Math.floor(((px - area.left) / (area.right - area.left)) * n);
  m.xOf = (t) => (x(t) + x(t + 1)) / 2;
  let back = "", rects = "", names = "";
  for (const l of q.loops) back += `<rect class=loop x=${x(l.begin).toFixed(1)} width=${(x(l.end + 1) - x(l.begin)).toFixed(1)} y=${area.top} height=${area.bottom - area.top} /><text class=band x=${((x(l.begin) + x(l.end + 1)) / 2).toFixed(1)} y=12>@${esc(l.func)} × ${l.to - l.from}${l.reverse ? " ↓" : ""}</text>`;
  for (const b of q.buffers) {
    if (!placed(b)) continue;
    const box = [x(b.f), x(b.l + 1), y(b.p), y(b.p + b.b)];
    rects += rect(b, ...box);
    names += label(b.n, ...box);
    if (b.r === "saved" && b.a) {
      const end = q.loops[0].end;
      const last = [x(end), x(b.a + 1), y(q.block), y(q.block + m.tail)];
      rects += rect(b, ...last);
      names += label(b.n, ...last);
    }
  }
  const most = Math.max(1, ...q.launches.map((l) => l.f || 0));
  const work = q.launches.filter((l) => l.f && l.at >= 0).map((l) => `<rect class=work data-at=${l.at} x=${x(l.at).toFixed(1)} width=${(x(l.at + 1) - x(l.at)).toFixed(1)} y=${area.bottom + 9} height=9 opacity=${(0.08 + 0.92 * Math.sqrt(l.f / most)).toFixed(2)} />`).join("");
  const ticks = [[y(0), "0"]];
  if (q.block) ticks.push([y(q.block), bytes(q.block), "edge"]);
  ticks.push([y(total), bytes(total)]);
  return back + axis(ticks) + rects + `<g class=names>${names}</g>` + work + `<text class=axis x=${area.left - 7} y=${area.bottom + 17}>FLOPs</text>`;
}

// stepView draws every layer's block in the order in which they run.
function stepView(m) {
  const { q, area } = m;
  const inLoops = q.loops.reduce((s, l) => s + (l.to - l.from) * (l.end - l.begin + 1), 0);
  const outside = Math.max(1, inLoops / 250); // width of a time outside of loops
  const start = []; // of each time, the loops' times being those of their first layer
  let u = 0;
  for (let t = 0; t < q.times.length; ) {
    const l = q.loops.find((l) => l.begin === t);
    if (!l) {
      start[t++] = u;
      u += outside;
      continue;
    }
    l.at = u;
    for (; t <= l.end; t++) start[t] = u + t - l.begin;
    u += (l.to - l.from) * (l.end - l.begin + 1);
  }
  const total = q.saved + q.scratch;
  const x = (v) => area.left + ((area.right - area.left) * v) / u;
  const y = (off) => area.bottom - ((area.bottom - area.top) * off) / total;
  const loopOf = (t) => q.loops.find((l) => l.begin <= t && t <= l.end);
  const when = (t, layer) => {
    const l = loopOf(t);
    if (!l || layer < l.from || layer >= l.to) return start[t];
    return l.at + (l.reverse ? l.to - 1 - layer : layer - l.from) * (l.end - l.begin + 1) + (t - l.begin);
  };
  let back = "", rects = "";
  for (const l of q.loops) {
    const w = (l.to - l.from) * (l.end - l.begin + 1);
    back += `<rect class=loop x=${x(l.at).toFixed(1)} width=${(x(l.at + w) - x(l.at)).toFixed(1)} y=${area.top} height=${area.bottom - area.top} /><text class=band x=${x(l.at + w / 2).toFixed(1)} y=12>@${esc(l.func)} ${l.reverse ? `${l.to - 1} … ${l.from}` : `${l.from} … ${l.to - 1}`}</text>`;
  }
  const saved = q.buffers.filter((b) => b.r === "saved");
  const forwards = q.loops.filter((l) => !l.reverse), forward = forwards[forwards.length - 1];
  for (let layer = 0; layer < m.layers; layer++)
    for (const b of saved) {
      if (layer < b.from || layer >= b.to) continue;
      // What a layer hands to the next is written at that layer's end.
      const mine = forwards.find((l) => l.from <= layer && layer < l.to);
      const below = forwards.find((l) => l.from <= layer - 1 && layer - 1 < l.to);
      const first = b.f <= mine.begin && below ? when(below.end, layer - 1) : when(b.f, layer);
      rects += rect(b, x(first), x(when(b.l, layer) + 1), y(b.o + layer * b.s), y(b.o + layer * b.s + b.b), layer % 2 ? ' fill-opacity=".8"' : "");
    }
  for (const b of saved) if (b.a) rects += rect(b, x(when(forward.end, m.layers - 1)), x(start[b.a] + outside), y(m.ends), y(q.saved));
  // Scratch as the extent that is in use, a layer's in all of its loop; what
  // outlives a loop by itself.
  const extent = (bs, x0, x1) => {
    if (!bs.length) return;
    const low = Math.min(...bs.map((b) => b.o)), high = Math.max(...bs.map((b) => b.o + b.b));
    rects += `<rect class=extent x=${x(x0).toFixed(1)} width=${(x(x1) - x(x0)).toFixed(1)} y=${y(high).toFixed(1)} height=${Math.max(1.5, y(low) - y(high)).toFixed(1)} />`;
  };
  const scratch = q.buffers.filter((b) => b.r === "scratch");
  const long = (b) => q.loops.some((l) => b.f <= l.end && b.l >= l.begin && (b.f < l.begin || b.l > l.end));
  for (let t = 0; t < q.times.length; t++) {
    const l = loopOf(t), end = l ? l.end : t;
    extent(scratch.filter((b) => !long(b) && b.f <= end && b.l >= t), l ? l.at : start[t], l ? l.at + (l.to - l.from) * (l.end - l.begin + 1) : start[t] + outside);
    t = end;
  }
  for (const b of scratch.filter(long)) {
    const last = loopOf(b.l);
    extent([b], start[b.f], last ? last.at + (last.to - last.from) * (last.end - last.begin + 1) : start[b.l] + outside);
  }
  m.timeAt = null;
  const ticks = [[y(0), "0"]];
  if (m.layers && (area.bottom - y(q.saved)) > 14) ticks.push([y(q.saved), bytes(q.saved), "edge"]);
  if (y(q.saved) - y(total) > 12 || !m.layers) ticks.push([y(total), bytes(total)]);
  return back + axis(ticks) + rects;
}

// highlightMap marks the buffer of the selection.
let picked = null;
function highlightMap(home, values) {
  picked = home;
  if (home && home.startsWith("b:")) {
    const program = /^b:([^/]*)/.exec(home)[1];
    // The same value has buffers of other programs, too: show the map's own.
    const q = map && map.q;
    if (q && q.name !== program) {
      const b = q.buffers.find((b) => placed(b) && b.v.some((v) => values.includes(v)));
      if (b) picked = bufferKey(q.name, b.n);
    }
  }
  markMap();
}

function markMap() {
  const svg = $("#map svg");
  if (!svg) return;
  let any = false;
  for (const r of $$("[data-b]", svg)) {
    const on = r.dataset.b === picked;
    any = any || on;
    r.classList.toggle("on", on);
    const b = findBuffer(pipeline(), r.dataset.b).b;
    const text = (b.n + " " + b.t + " " + b.v.map(nameOf).join(" ")).toLowerCase();
    r.classList.toggle("off", !state.words.every((w) => text.includes(w)));
  }
  svg.classList.toggle("picked", any);
}

// mapTip is what stands at the pointer over the map, and moves the line of the
// present.
function mapTip(e) {
  const svg = $("#map svg");
  if (!svg || !map) return "";
  const box = svg.getBoundingClientRect();
  const px = ((e.clientX - box.left) * map.W) / box.width;
  const now = $("#now");
  let out = "";
  const r = e.target.closest("[data-b]");
  if (r) {
    const b = findBuffer(pipeline(), r.dataset.b).b;
    out += `<b>%${esc(b.n)}</b> ${esc(b.t)}<br>${whereHTML(map.q, b)}<br>times ${b.f} to ${b.l}${b.v.length > 1 ? `<br>holds ${b.v.map((v) => esc(nameOf(v))).join(", ")}` : ""}`;
  }
  const t = map.timeAt ? map.timeAt(px) : -1;
  now.setAttribute("visibility", t >= 0 && t < map.q.times.length ? "visible" : "hidden");
  if (t >= 0 && t < map.q.times.length) {
    now.setAttribute("x1", map.xOf(t));
    now.setAttribute("x2", map.xOf(t));
    const text = map.q.times[t].t;
    const live = map.q.buffers.filter((b) => b.r === "scratch" && b.f <= t && t <= b.l).reduce((s, b) => s + b.b, 0);
    const work = map.q.launches.filter((l) => l.at === t).reduce((s, l) => s + (l.f || 0), 0);
    out += `<p>time ${t}: ${text >= 0 ? `<code>${esc(data.lines[text].t.replace(/ : .*/, ""))}</code>` : "between"}${work ? " · " + flops(work) : ""} · ${bytes(live)} scratch alive</p>`;
  }
  return out;
}

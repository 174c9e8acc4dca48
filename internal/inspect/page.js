// The page: its state, which the address keeps, and what the pointer and keys
// do.

const data = JSON.parse($("#data").textContent);
const state = { mode: "", value: "", program: "", view: "layer", words: [] };
const pipeline = () => data.pipelines.find((p) => p.mode === state.mode) || data.pipelines[0];

// switches draws buttons of which one is on.
function switches(box, list, on, pick) {
  box.innerHTML = list.map(([v, text]) => `<button data-s="${esc(v)}" aria-pressed=${v === on}>${esc(text)}</button>`).join("");
  box.onclick = (e) => {
    const b = e.target.closest("button");
    if (b && b.dataset.s !== on) pick(b.dataset.s);
  };
}

// The address keeps the selection, so that a link leads to it.
function saveHash() {
  const p = new URLSearchParams();
  if (state.mode !== data.pipelines[0].mode) p.set("mode", state.mode);
  if (state.value) p.set("v", state.value);
  if (state.program) p.set("program", state.program);
  if (state.view !== "layer") p.set("view", state.view);
  const hash = "#" + p;
  if (hash !== location.hash) history.replaceState(null, "", hash);
}

function loadHash() {
  const p = new URLSearchParams(location.hash.slice(1));
  state.mode = data.pipelines.some((x) => x.mode === p.get("mode")) ? p.get("mode") : data.pipelines[0].mode;
  state.program = p.get("program") || "";
  state.view = p.get("view") === "step" ? "step" : "layer";
  state.value = p.get("v") || "";
  draw();
}

// draw draws everything anew, for another pipeline.
function draw() {
  switches($("#modes"), data.pipelines.map((p) => [p.mode, p.mode === "train" ? "training" : "inference"]), state.mode, (m) => {
    state.mode = m;
    state.program = "";
    draw();
  });
  drawColumns(pipeline());
  drawMap();
  if (state.words.length) applyFilter();
  select(state.value, null);
}

function facts() {
  const f = data.figure;
  const cut = (x) => { // cut off and not rounded, as the paper's table is
    const u = x >= 1e9 ? [1e9, "B"] : x >= 1e6 ? [1e6, "M"] : [1e3, "k"];
    return Math.floor((10 * x) / u[0]) / 10 + " " + u[1];
  };
  const train = ["weights", "grads", "moment1", "moment2", "act.train"].reduce((s, a) => s + (f.arena_bytes[a] || 0), 0);
  $("#name").textContent = data.name;
  $("#name").title = `${data.doc}\n${data.file}, llamac ${data.version}`;
  document.title = data.name + " · llamac inspect";
  const sizes = data.sizes.map((s) => `${s.n} ${s.s.toLocaleString("en")}`).join(", ");
  $("#facts").innerHTML = [
    `<b>${cut(f.params)}</b> parameters`,
    `<b>${data.layers}</b> layers`,
    f.model_flops_per_token && `<b>${flops(f.model_flops_per_token)}</b> a training token`,
    f.arena_bytes["act.train"] && `<b>${bytes(train)}</b> to train, checkpoint ${esc(f.checkpoint)}`,
    `<span title="${esc(sizes)}">B ${data.sizes.find((s) => s.n === "B")?.s ?? 1}, T ${data.sizes.find((s) => s.n === "T")?.s ?? "-"}</span>`,
  ].filter(Boolean).map((x) => `<span>${x}</span>`).join("");
}

function applyFilter() {
  state.words = filterColumns($("#filter input").value);
  markMap();
}

// showTip puts a text beside the pointer.
function showTip(e, html) {
  const tip = $("#tip");
  tip.hidden = !html;
  if (!html) return;
  tip.innerHTML = html;
  const w = tip.offsetWidth, h = tip.offsetHeight;
  tip.style.left = Math.max(4, Math.min(e.clientX + 14, innerWidth - w - 6)) + "px";
  tip.style.top = (e.clientY + 18 + h > innerHeight ? Math.max(4, e.clientY - h - 10) : e.clientY + 18) + "px";
}

// lineTip is the work of a graph's line.
function lineTip(row) {
  const l = row.dataset.l && lineOf(row);
  if (!l || (!l.f && !l.m)) return "";
  const col = pipeline().columns[row.closest(".col").dataset.c];
  const p = parts(l.t);
  const names = l.t.slice(0, p.def).split(", ").filter(Boolean);
  const types = l.t.slice(p.type + 3).match(/\w+\[[^\]]*\]/g) || [];
  const sizes = col.plan ? "" : names.map((x, i) => (types[i] && !isNaN(typeBytes(types[i])) ? `<br>${esc(x)} ${esc(types[i])} <b>${bytes(typeBytes(types[i]))}</b>` : "")).join("");
  return `${l.f ? `<b>${flops(l.f)}</b>` : "no arithmetic"}${l.m ? ` · ${bytes(l.m)} read and written · ${(l.f / l.m).toPrecision(2)} FLOP a byte` : ""}${sizes}`;
}

document.addEventListener("click", (e) => {
  const t = e.target;
  const go = t.closest("[data-go]");
  if (go) return e.preventDefault(), select(go.dataset.go, null);
  const col = t.closest("a[data-col]");
  if (col) {
    e.preventDefault();
    showColumn(col.dataset.col);
    if (col.dataset.n) $(`#columns section[data-f="${col.dataset.f}"]`).children[+col.dataset.n + 1]?.scrollIntoView({ block: "center", inline: "nearest" });
    return;
  }
  if (t.closest("[data-close]")) return select("");
  const cell = t.closest("#strip [data-c]");
  if (cell) return showColumn(cell.dataset.c);
  const folded = t.closest(".col.same > header, .col.folded");
  if (folded) {
    folded.closest(".col").classList.toggle("folded");
    return;
  }
  const named = t.closest("[data-v], [data-b]");
  if (named && !String(getSelection())) {
    const { v, b } = named.dataset;
    const k = v && (!b || v[1] !== "%" || trace(pipeline(), v).born) ? v : b;
    select(k === state.value ? "" : k, t.closest(".r"));
  }
});

let resting; // over a line: its work shows when the pointer stays
document.addEventListener("mousemove", (e) => {
  if (e.target.closest("#map")) return showTip(e, mapTip(e));
  const row = e.target.closest("#columns .r");
  showTip(e, "");
  clearTimeout(resting);
  if (row) resting = setTimeout(() => showTip(e, lineTip(row)), 350);
  $("#now")?.setAttribute("visibility", "hidden");
});

document.addEventListener("keydown", (e) => {
  const input = $("#filter input");
  if (e.key === "Escape") {
    if (document.activeElement === input || input.value) (input.value = ""), input.blur(), applyFilter();
    else select("");
  } else if (document.activeElement === input || e.ctrlKey || e.metaKey || e.altKey) return;
  else if (e.key === "/") e.preventDefault(), input.focus(), input.select();
  else if (e.key === "ArrowLeft" || e.key === "ArrowRight") {
    const cols = $$("#columns > .col:not(.folded)"), at = $("#columns").scrollLeft + 70;
    const i = cols.findLastIndex((c) => c.offsetLeft <= at);
    const to = cols[Math.max(0, Math.min(cols.length - 1, i + (e.key === "ArrowLeft" ? -1 : 1)))];
    e.preventDefault();
    showColumn(to.dataset.c);
  }
});

$("#filter input").addEventListener("input", applyFilter);
$("#shapes").addEventListener("click", (e) => e.target.setAttribute("aria-pressed", !document.body.classList.toggle("bare")));
$("#theme").addEventListener("click", () => {
  const root = document.documentElement.dataset;
  const dark = root.theme ? root.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.theme = dark ? "light" : "dark";
});

// The drawer's height is the reader's.
$("#grip").addEventListener("pointerdown", (e) => {
  e.target.setPointerCapture(e.pointerId);
  const move = (e) => document.body.style.setProperty("--drawer", Math.max(60, innerHeight - e.clientY) + "px");
  e.target.addEventListener("pointermove", move);
  e.target.addEventListener("pointerup", () => (e.target.removeEventListener("pointermove", move), drawMap()), { once: true });
});
let resizing;
addEventListener("resize", () => (clearTimeout(resizing), (resizing = setTimeout(drawMap, 80))));
addEventListener("hashchange", loadHash);

facts();
loadHash();

// The sheet that a person draws on: two layers of 512 x 512, pen, eraser, undo. The value that goes to the server is
// {strokes, colours}: PNG data addresses of the layers, colours null where it is empty. The tracing photo stays here.
const SIDE = 512, DEEPEST = 60;
const find = (selector) => element.querySelector(selector);
const layers = {strokes: find("canvas.strokes"), colours: find("canvas.colours")};
const pens = {};
for (const name in layers) pens[name] = layers[name].getContext("2d", {willReadFrequently: true});
const state = {tool: "pen", layer: "strokes", size: {strokes: 4, colours: 28}, done: [], undone: [], used: {strokes: false, colours: false}};
const named = (name) => find(`[data-name=${name}]`);
const guide = find(".guide"), trace = find(".trace"), cursor = find(".cursor");

function picture(name) { return pens[name].getImageData(0, 0, SIDE, SIDE); }
function anything(data) { for (let i = 3; i < data.length; i += 4) if (data[i]) return true; return false; }

function remember(name) {                                   // before a change of a layer
  state.done.push([name, picture(name)]);
  if (state.done.length > DEEPEST) state.done.shift();
  state.undone = [];
}
function step(from, to) {
  const last = from.pop();
  if (!last) return;
  to.push([last[0], picture(last[0])]);
  pens[last[0]].putImageData(last[1], 0, 0);
  tell();
}
function tell() {                                           // the server, of what is drawn now
  const focused = document.activeElement, seen = focused.matches(":focus-visible");
  find("[data-act=undo]").disabled = !state.done.length;
  find("[data-act=redo]").disabled = !state.undone.length;
  if (element.contains(focused) && focused.disabled) {      // such a button loses the focus, and with it the keys
    sheet.focus({preventScroll: true});
    sheet.classList.toggle("keyed", seen);
  }
  const coloured = props.coloured && anything(picture("colours").data);
  const told = Number(element.dataset.told || 0) + 1;       // what is drawn again is told again: settings may be new
  props.value = {strokes: layers.strokes.toDataURL("image/png"), colours: coloured ? layers.colours.toDataURL("image/png") : null, told};
  element.dataset.told = String(told);
  window.calisketchDrawnAt = performance.now();
}

function line(x0, y0, x1, y1) {
  const pen = pens[state.layer];
  pen.globalCompositeOperation = state.tool === "eraser" ? "destination-out" : "source-over";
  pen.strokeStyle = state.layer === "strokes" ? "#000" : named("colour").value;
  pen.lineWidth = Number(named("size").value) * (state.tool === "eraser" && state.layer === "strokes" ? 3 : 1);
  pen.lineCap = pen.lineJoin = "round";
  pen.beginPath(); pen.moveTo(x0, y0); pen.lineTo(x1, y1 + (x0 === x1 && y0 === y1 ? 0.01 : 0)); pen.stroke();
}
function place(event) {
  const box = layers.strokes.getBoundingClientRect();
  return [(event.clientX - box.left) * SIDE / box.width, (event.clientY - box.top) * SIDE / box.height];
}
let last = null, pointer = null;                            // a palm or second finger beside the pen draws nothing
const sheet = layers.strokes;
sheet.addEventListener("pointerdown", (event) => {
  if (event.button || pointer !== null) return;
  event.preventDefault();
  sheet.classList.remove("keyed");
  sheet.focus({preventScroll: true});
  try { sheet.setPointerCapture(event.pointerId); } catch { /* a pointer that is no longer there */ }
  remember(state.layer);
  pointer = event.pointerId;
  last = place(event);
  line(...last, ...last);
});
sheet.addEventListener("pointermove", (event) => {
  if (event.pointerId !== pointer) return;
  const moves = event.getCoalescedEvents ? event.getCoalescedEvents() : [];
  for (const each of moves.length ? moves : [event]) { const here = place(each); line(...last, ...here); last = here; }
});
const lift = (event) => { if (event.pointerId === pointer) { last = pointer = null; tell(); } };
for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) sheet.addEventListener(end, lift);

const keyed = {x: 256, y: 256, down: false};
const STEPS = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]};
function showCursor(shown) {
  cursor.hidden = !shown;
  cursor.style.left = `${100 * keyed.x / SIDE}%`; cursor.style.top = `${100 * keyed.y / SIDE}%`;
}
sheet.addEventListener("keyup", (event) => { if (event.key === "Tab") sheet.classList.add("keyed"); });
sheet.addEventListener("keydown", (event) => {
  if (STEPS[event.key] || event.key === " ") sheet.classList.add("keyed");
  if (event.key === " ") {
    event.preventDefault();
    if (!keyed.down) { keyed.down = true; remember(state.layer); line(keyed.x, keyed.y, keyed.x, keyed.y); showCursor(true); }
  } else if (STEPS[event.key]) {
    event.preventDefault();
    const far = event.shiftKey ? 24 : 6, [dx, dy] = STEPS[event.key];
    const x = Math.min(SIDE, Math.max(0, keyed.x + far * dx)), y = Math.min(SIDE, Math.max(0, keyed.y + far * dy));
    if (keyed.down) line(keyed.x, keyed.y, x, y);
    keyed.x = x; keyed.y = y; showCursor(true);
  }
});
function liftKey() { if (keyed.down) { keyed.down = false; tell(); } }
sheet.addEventListener("keyup", (event) => { if (event.key === " ") liftKey(); });
sheet.addEventListener("blur", () => { showCursor(false); liftKey(); });

function choose(kind, value) {
  state[kind] = value;
  element.querySelectorAll(`[data-${kind}]`).forEach((each) => each.setAttribute("aria-pressed", each.dataset[kind] === value));
  if (kind === "layer") named("size").value = state.size[value];
}
const acts = {
  undo: () => step(state.done, state.undone),
  redo: () => step(state.undone, state.done),
  clear: () => { remember(state.layer); pens[state.layer].clearRect(0, 0, SIDE, SIDE); tell(); },
  untrace: () => { URL.revokeObjectURL(trace.src); trace.removeAttribute("src"); trace.hidden = find("[data-act=untrace]").hidden = true; named("trace").value = ""; named("trace").focus(); },
};
element.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (!button) return;
  for (const kind of ["tool", "layer"]) if (button.dataset[kind]) choose(kind, button.dataset[kind]);
  if (button.dataset.act) acts[button.dataset.act]();
});
element.addEventListener("keydown", (event) => {
  if (event.target.matches("input:not([type=range])")) return;
  const key = event.key.toLowerCase();
  if ((event.ctrlKey || event.metaKey) && (key === "z" || key === "y")) { event.preventDefault(); acts[key === "y" || event.shiftKey ? "redo" : "undo"](); }
  else if (!event.ctrlKey && !event.metaKey && !event.altKey && (key === "b" || key === "e")) choose("tool", key === "b" ? "pen" : "eraser");
});
named("size").addEventListener("input", () => { state.size[state.layer] = Number(named("size").value); });
named("guide").addEventListener("change", () => { guide.toggleAttribute("hidden", !named("guide").checked); });
named("fade").addEventListener("input", () => { trace.style.opacity = named("fade").value / 100; });
named("trace").addEventListener("change", () => {
  const file = named("trace").files[0];
  if (!file) return;
  if (trace.src) URL.revokeObjectURL(trace.src);
  trace.onload = () => { trace.hidden = find("[data-act=untrace]").hidden = false; trace.style.opacity = named("fade").value / 100; };
  trace.onerror = () => { acts.untrace(); alert("This file is no picture that the browser can show. Choose a PNG or JPEG."); };
  trace.src = URL.createObjectURL(file);
});

function showTools() {
  find(".colour-tools").hidden = !props.coloured;
  layers.colours.hidden = !props.coloured;
  if (!props.coloured && state.layer === "colours") choose("layer", "strokes");
}
async function lay(name, address) {                         // a picture from the server onto a layer
  if (!address && !anything(picture(name).data)) return;   // nothing to undo
  remember(name);
  pens[name].clearRect(0, 0, SIDE, SIDE);
  if (!address) return;
  const image = new Image();
  image.src = address;
  await image.decode();
  pens[name].globalCompositeOperation = "source-over";
  pens[name].drawImage(image, 0, 0, SIDE, SIDE);
}
let taken = null;
async function take() {
  const given = props.incoming;
  if (!given || given.number === taken) return;
  taken = given.number;
  for (const name of ["strokes", "colours"]) if (given[name] !== undefined) await lay(name, given[name]);
  tell();
}
watch("incoming", take);
watch("coloured", () => { showTools(); if (anything(picture("colours").data)) tell(); });
window.calisketchSheet = () => props.value;
showTools();

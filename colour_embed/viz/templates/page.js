"use strict";

// The page's state, its updates and its rendering; draw.js draws. Text from the data is inserted
// as text (textContent, fillText), never as HTML.

const NEIGHBOURS = 8;
const RATE = 30; // snapshots a second at speed 1, as in the videos; fewer where own items have few
const TURN = 12; // degrees a second
const MATCHES = 8;
const TELL = 200; // milliseconds between two tellings of a training under way
const TRUTH = "the true coordinates, not used in training";
const TYPES = { uint8: Uint8Array, int16: Int16Array, int32: Int32Array, float32: Float32Array };

// ---- The data embedded by Python; arrays are decoded when they are first shown ----

const data = JSON.parse(find("#data").textContent);
const colourOf = (item) => [...rgb.subarray(3 * item, 3 * item + 3)];
const cube = {
  points: decode(data.rgb), // integers, so that ties of distances are exact
  columns: 3,
  extent: extentOf([0, 0, 0, 0, 255, 0, 255, 0, 0, 255, 255, 255], 3),
  axes: ["red", "green", "blue"],
};
// The items of the run, in whose place a training of the page may put its own.
const committed = { ...data, rgb: cube.points, kind: decode(data.kind) };
let [rgb, kind, groupOf, fills, scale] = []; // of the items that are shown

// The numbers in the base64 of their little-endian bytes.
function decode({ type, base64 }) {
  const text = atob(base64);
  const bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  return new TYPES[type](bytes.buffer);
}

const lossOf = remembered((index) => decode(data.trainings[index].loss));

const trainingOf = remembered((index) => {
  const { dim, points, epoch, ellipses, ...rest } = data.trainings[index];
  const decoded = { points: decode(points), epoch: decode(epoch), loss: lossOf(index) };
  if (ellipses) {
    decoded.ellipses = { halves: decode(ellipses.halves), draws: decode(ellipses.draws) };
  }
  return { ...rest, ...decoded, dim, extent: extentOf(decoded.points, dim) };
});

function pointsText() {
  if (data.truth) return ", each in its colour";
  return data.groups ? ", each with the colour and marker of its group" : "";
}

// ---- The state ----

const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
const prefersDark = matchMedia("(prefers-color-scheme: dark)");
const forced = matchMedia("(forced-colors: active)");
const state = {
  choice: data.start, // the index of the value of each of data.choices
  epoch: Infinity, // as requested; a training may have no snapshot of it
  item: data.item, // selected, or null
  hover: null,
  playing: false,
  speed: 1,
  fit: false,
  turn: !calm,
  yaw: -30,
  pitch: 20,
  theme: null, // null: as the system has it
};
let shown = []; // the trainings on the page
let visible = []; // the panels in which they are
let timeline = []; // the epochs of their snapshots
let moment = 0; // where in the timeline
let ink = {}; // the theme's colours, for canvases
let paper = false; // whether the page is being printed

function update(change) {
  Object.assign(state, change);
  requestDraw();
  settle();
}

// Show these items, `committed` or others.
function useItems(items) {
  if (rgb === items.rgb) return;
  ({ rgb, kind } = items);
  const { names, noun, truth, item, groups, looks } = items;
  Object.assign(data, { names, noun, truth, item, groups, looks });
  groupOf = groups && decode(groups.of);
  fills = names.map((_, place) => `rgb(${colourOf(place).join(" ")})`);
  // Markers of own items are smaller in a crowd, and larger where few have shapes to be told apart.
  scale = truth ? 1 : Math.min(Math.max((700 / names.length) ** 0.25, 0.65), 1.4);
  for (const panel of panels) panel.screen = panel.order = undefined;
  Object.assign(state, { item, hover: null });
  setText(find("label[for=search]"), `Find ${noun === "item" ? "an item" : "a colour"}`);
  find("#colour").setAttribute("aria-label", `Selected ${noun}`);
}

// Show the chosen training, or all where there is nothing to choose, or that of this page.
function choose() {
  const isChosen = ({ choice }) => choice.every((value, i) => value === state.choice[i]);
  shown = live ? [live] : placesOf(isChosen).map(trainingOf);
  visible = panels.filter(({ slot }) => (slot === null ? data.truth : slot < shown.length));
  for (const panel of panels) panel.figure.hidden = !visible.includes(panel);
  timeline = [...new Set(shown.flatMap(({ epoch }) => [...epoch]))].sort((a, b) => a - b);
  find("#still").hidden = live !== null || !isStill();
  find("#play").disabled = find("#time").disabled = isStill();
  find("#time").max = Math.max(timeline.length - 1, 0);
  document.querySelectorAll("#choices select").forEach((select, i) => {
    select.value = state.choice[i];
  });
  find("#certainty").hidden = !shown.some(({ ellipses }) => ellipses);
  makeCurves();
  seek(state.epoch);
}

// Whether there is nothing to play: a single snapshot, or a training under way.
const isStill = () => timeline.length < 2 || Boolean(live?.running);

function placesOf(condition) {
  return [...data.trainings.keys()].filter((index) => condition(data.trainings[index]));
}

// Go to the last snapshot up to an epoch. The requested epoch is kept when the training changes.
function seek(epoch) {
  moment = Math.max(lastUpTo(timeline, epoch), 0);
  update({ epoch });
}

function step(places) {
  moment = Math.min(Math.max(moment + places, 0), Math.max(timeline.length - 1, 0));
  update({ epoch: epochShown() });
}

const epochShown = () => timeline[moment] ?? 0;
const lastUpTo = (epochs, epoch) => epochs.findLastIndex((one) => one <= epoch);

// ---- The address, which stores the view ----

function writeAddress() {
  const address = new URLSearchParams();
  data.choices.forEach(({ name, values }, i) => address.set(name, values[state.choice[i]]));
  address.set("epoch", Number.isFinite(state.epoch) ? state.epoch : epochShown());
  address.set(data.noun, state.item === null ? "" : data.names[state.item]);
  address.set("yaw", Math.round(state.yaw));
  address.set("pitch", Math.round(state.pitch));
  address.set("speed", state.speed);
  if (state.fit) address.set("fit", "1");
  if (state.theme) address.set("theme", state.theme);
  if (data.training) writeSettings(address);
  try {
    history.replaceState(null, "", `#${address}`);
  } catch {
    // A page in a frame's srcdoc has no address.
  }
}

// Set the state from the address; missing and invalid fields are unchanged.
function readAddress() {
  const address = new URLSearchParams(location.hash.slice(1));
  const number = (name) => {
    const value = parseFloat(address.get(name));
    return Number.isFinite(value) ? value : state[name];
  };
  state.choice = data.choices.map(({ name, values }, i) => {
    const place = values.findIndex((value) => String(value) === address.get(name));
    return place < 0 ? state.choice[i] : place;
  });
  if (address.has(data.noun)) {
    const item = data.names.indexOf(address.get(data.noun));
    state.item = item < 0 ? null : item;
  }
  const speeds = [...find("#speed").options].map(({ value }) => Number(value));
  state.speed = speeds.includes(number("speed")) ? number("speed") : state.speed;
  state.yaw = number("yaw");
  state.pitch = Math.min(Math.max(number("pitch"), -90), 90);
  if (address.has("fit")) state.fit = address.get("fit") === "1";
  if (["light", "dark"].includes(address.get("theme"))) state.theme = address.get("theme");
  find("#speed").value = state.speed;
  find("#fit").checked = state.fit;
  find("#turn").checked = state.turn;
  state.epoch = number("epoch");
  applyTheme();
  choose();
  if (data.training) readSettingsFrom(address);
}

// ---- What is shown: drawn once per refresh of the screen, and only after a change ----

// A panel for each training that is shown at a time, and one for a true RGB, whose slot is null.
const slots = [...Array(data.panels).keys(), ...(data.truth ? [null] : [])];
const panels = slots.map((slot) => {
  const figure = find("#panel").content.cloneNode(true).firstElementChild;
  const canvas = find("canvas", figure);
  find("#panels").append(figure);
  const context = canvas.getContext("2d");
  return { slot, figure, canvas, context, list: makeList(), view: WHOLE };
});
const plot = {
  canvas: find("#loss canvas"),
  context: find("#loss canvas").getContext("2d"),
  lines: data.lines,
};
let requested = false;
let changed = false;
let drawnAll = 0; // when
let learned = false; // whether only the points of a training under way have changed

function requestDraw() {
  changed = true;
  requestRefresh();
}

function requestRefresh() {
  if (!requested) requestAnimationFrame(refresh);
  requested = true;
}

function refresh(now) {
  requested = false;
  if (state.playing) advance(now);
  if (changed) drawAll();
  else if (learned) drawLearned(now);
  changed = learned = false;
  if (state.playing && !requested) requestAnimationFrame(refresh);
  requested ||= state.playing;
}

// Draw the points of the training under way, and now and then what is told of it.
function drawLearned(now) {
  if (now - drawnAll > TELL) drawAll();
  else drawPoints(visible[0]);
}

function drawPoints(panel) {
  const look = { names: data.names, fills, shapes: data.looks, kind, scale, ink, ...state };
  const item = state.item ?? state.hover;
  const cloud = cloudOf(panel.slot, item);
  panel.near = item === null || !cloud.points.length ? [] : nearest(cloud, item, NEIGHBOURS);
  drawPanel(panel, cloud, { ...look, near: panel.near, starting: Boolean(live?.running) });
}

function drawAll() {
  drawnAll = performance.now();
  for (const panel of visible) {
    drawPoints(panel);
    const { cloud } = panel;
    panel.figure.classList.toggle("solid", cloud.columns > 2);
    panel.figure.classList.toggle("zoomed", panel.view !== WHOLE);
    find(".out", panel.figure).disabled = find(".whole", panel.figure).disabled =
      panel.view === WHOLE;
    setText(find("h2", panel.figure), titleOf(panel.slot));
    setText(find("p", panel.figure), panel.slot === null ? TRUTH : shown[panel.slot].facts);
  }
  if (plot.stale) drawPlot(plot, ink, paper ? epochShown() : null);
  plot.stale = false;
  showTime();
  showColour(state.item ?? state.hover);
  if (data.training) showLive();
}

function cloudOf(slot, item) {
  if (slot === null) return cube;
  const { epoch, dim, unit, extent, running } = shown[slot];
  const now = frameOf(shown[slot], Math.max(lastUpTo(epoch, epochShown()), 0));
  const place = state.fit || running ? extentOf(now, dim) : extent;
  const ellipse = ellipseOf(slot, item);
  return { points: now, columns: dim, unit, extent: place, ellipse: ellipse?.known && ellipse };
}

function frameOf({ frames, now, points, dim }, frame) {
  if (frames) {
    const shown = now && frame === frames.length - 1 ? now : frames[frame];
    return shown ? turned(shown, dim) : new Float32Array();
  }
  const size = data.names.length * dim;
  return points.subarray(frame * size, (frame + 1) * size);
}

// The ellipse of an item, which is of the fit: of the last snapshot alone. Null without one; not
// `known` where too few of the bootstrap's draws hold a pair of the item.
function ellipseOf(slot, item) {
  const { ellipses, epoch, dim } = shown[slot];
  if (!ellipses || item === null || epochShown() < epoch.at(-1)) return null;
  const size = Math.min(dim, 3) ** 2;
  const halves = ellipses.halves.subarray(item * size, (item + 1) * size);
  return { item, halves, draws: ellipses.draws[item], known: halves.every(Number.isFinite) };
}

// What the ellipse of an item is, or why it has none.
function certaintyOf(item) {
  const ellipse = ellipseOf(0, item);
  if (ellipse === null) return "";
  const { dim } = shown[0];
  const what = ["interval", "ellipse", "ellipsoid"][Math.min(dim, 3) - 1];
  const { draws, known } = ellipse;
  if (!known) {
    const few = draws === 0 ? "no" : `only ${draws}`;
    const hold = draws > 1 ? "draws hold" : "draw holds";
    return `No ${what}: ${few} bootstrap ${hold} a pair of it.`;
  }
  const axes = dim > 3 ? " in the three axes shown," : "";
  return `95 % ${what}${axes} over ${draws} bootstrap draws; ` +
    "it leaves out bias, initial values and other minima.";
}

const titleOf = (slot) => (slot === null ? "RGB" : shown[slot].title);

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function showTime() {
  const ends = shown.map(({ loss, epochs }) => epochs ?? loss.length);
  const last = Math.max(timeline.at(-1) ?? 0, ...ends);
  find("#time").value = moment;
  find("#time").setAttribute("aria-valuetext", `epoch ${epochShown()}`);
  setText(find("#epoch"), `epoch ${epochShown()} of ${last}`);
  setText(find("#play"), state.playing ? "Pause" : "Play");
  shown.forEach((training, i) => {
    setText(find("#curves").children[i], `${training.space} ${lossText(training)}`);
  });
  const mark = find(".mark");
  mark.hidden = plot.empty;
  mark.style.transform = `translateX(${plotX(plot, epochShown()) - 1}px)`;
}

function lossText({ loss }) {
  const value = loss[epochShown() - 1];
  return Number.isFinite(value) ? value.toFixed(4) : "\u2013"; // epoch 0 has none
}

function makeCurves() {
  const isSame = (value, i) => i === data.seed || value === state.choice[i];
  const others = data.choices.length && !live ? placesOf(({ choice }) => choice.every(isSame)) : [];
  plot.curves = shown.map(({ loss }) => loss);
  plot.lines = live?.lines ?? data.lines;
  plot.planned = live?.epochs ?? 1;
  plot.others = others.length > 1 ? others.slice(0, 64).map(lossOf) : [];
  plot.stale = true;
  const items = shown.map((_, i) => make("li", { className: i ? "second" : "" }));
  const tell = (className, textContent) => items.push(make("li", { className, textContent }));
  if (plot.others.length) tell("others", "other seeds");
  for (const { label, value } of plot.lines) tell("line", `${label} ${value.toFixed(4)}`);
  find("#curves").replaceChildren(...items);
}

// After 250 ms without a change: update the address and the text for screen readers.
let settling = 0;
function settle() {
  clearTimeout(settling);
  if (state.playing || live?.running) return;
  settling = setTimeout(() => {
    writeAddress();
    const losses = shown.map((training) => `${training.title}, loss ${lossText(training)}. `);
    const held = state.item === null ? `No ${data.noun} selected.` : describe(state.item);
    setText(find("#live"), `Epoch ${epochShown()}. ${losses.join("")}${held}`);
    for (const { slot, canvas } of visible) {
      const when = slot === null ? "" : ` at epoch ${epochShown()}`;
      const what = `${data.names.length} points${pointsText()}`;
      canvas.setAttribute("aria-label", `${titleOf(slot)}${when}: ${what}. ${held}`);
    }
  }, 250);
}

function describe(item) {
  const told = `Selected ${[data.names[item], ...factsOf(item)].join(", ")}.`;
  return [told, certaintyOf(item)].join(" ").trim();
}

// What is known of an item beside its name: its RGB or its group.
function factsOf(item) {
  if (data.truth) return [`RGB ${colourOf(item).join(", ")}`];
  if (groupOf === null) return [];
  const name = data.groups.names[groupOf[item]];
  if (name === "") return ["no group"];
  const { label } = data.looks[kind[item]];
  return [label === name ? `group ${name}` : `group ${name}, shown as ${label}`];
}

// Paper is white, and forced colours have a ground of their own.
function applyTheme() {
  const chosen = forced.matches ? null : state.theme;
  const screen = chosen ?? (prefersDark.matches ? "dark" : "light");
  const theme = paper ? "light" : screen;
  document.documentElement.dataset.theme = theme;
  find("#theme").textContent = screen === "dark" ? "Light" : "Dark";
  const style = getComputedStyle(document.documentElement);
  const names = ["surface", "line", "faint", "edge", "quiet", "ink", "accent", "second"];
  ink = Object.fromEntries(names.map((name) => [name, style.getPropertyValue(`--${name}`).trim()]));
  redraw();
}

function redraw() {
  plot.stale = true;
  requestDraw();
}

// Draw for paper at once: printing does not wait for the screen's next refresh.
function setPaper(now) {
  if (paper === now) return;
  paper = now;
  document.documentElement.classList.toggle("paper", paper);
  for (const one of [...panels, plot]) one.sharpness = paper ? 3 : 1;
  applyTheme();
  drawAll();
}

// ---- The selected item and its neighbours ----

function makeList() {
  const section = make("section");
  const items = Array.from({ length: NEIGHBOURS }, () => {
    const button = make("button", { type: "button" });
    const item = () => Number(button.dataset.item);
    button.append(make("span", { className: "swatch" }), make("span"));
    button.addEventListener("click", () => update({ item: item(), hover: null }));
    for (const event of ["pointerenter", "focus"]) {
      button.addEventListener(event, () => update({ hover: item() }));
    }
    for (const event of ["pointerleave", "blur"]) {
      button.addEventListener(event, () => update({ hover: null }));
    }
    return button;
  });
  const list = make("ol");
  list.append(...items.map((button) => {
    const entry = make("li");
    entry.append(button);
    return entry;
  }));
  section.append(make("h3"), make("p"), list);
  find("#neighbours").append(section);
  return section;
}

function showColour(item) {
  const none = item === null;
  find("#selected .swatch").style.background = none ? "none" : fills[item];
  setText(find("#selected h2"), none ? `No ${data.noun} selected` : data.names[item]);
  const hint = "Click a point or find a name.";
  setText(find("#selected p"), none ? hint : factsOf(item).join(", "));
  setText(find("#certainty"), certaintyOf(item));
  for (const panel of panels) {
    const { slot, near, list } = panel;
    list.hidden = !visible.includes(panel) || near.length === 0;
    if (list.hidden) continue;
    const when = slot === null ? "" : `, epoch ${epochShown()}`;
    setText(find("h3", list), `Nearest in ${slot === null ? "RGB" : shown[slot].space}${when}`);
    setText(find("p", list), hitsOf(slot, near, item));
    list.querySelectorAll("button").forEach((button, i) => showNeighbour(button, near[i]));
  }
}

// How many of an item's neighbours are true ones: also nearest in RGB, or of its group.
function hitsOf(slot, near, item) {
  if (slot === null) return "the true ones";
  const count = (isHit) => `${near.filter(isHit).length} of ${near.length}`;
  if (data.truth) {
    const truth = panels.at(-1).near;
    return `${count((one) => truth.includes(one))} also nearest in RGB`;
  }
  if (groupOf === null || item === null || data.groups.names[groupOf[item]] === "") return "";
  return `${count((one) => groupOf[one] === groupOf[item])} of the same group`;
}

function showNeighbour(button, item) {
  button.hidden = item === undefined;
  if (button.hidden || button.dataset.item === String(item)) return;
  button.dataset.item = item;
  button.firstElementChild.style.background = fills[item];
  button.lastElementChild.textContent = data.names[item];
}

// ---- Time ----

let clock = 0;
let progress = 0; // of a step

function play() {
  if (moment >= timeline.length - 1) seek(timeline[0]);
  [clock, progress] = [performance.now(), 0];
  update({ playing: true });
}

function pause() {
  update({ playing: false });
}

function advance(now) {
  const passed = Math.min(Math.max(now - clock, 0), 100) / 1000;
  clock = now;
  const rate = data.noun === "item" ? Math.min(Math.max(timeline.length / 6, 8), RATE) : RATE;
  progress += passed * rate * state.speed;
  const steps = Math.floor(progress);
  progress -= steps;
  if (state.turn && passed > 0) update({ yaw: (state.yaw + passed * TURN) % 360 });
  if (steps > 0) step(steps);
  if (moment >= timeline.length - 1) pause();
}

// ---- Search: a list of matches under the field; the arrows walk it, Enter takes one ----

let matches = [];
let active = 0;

function search() {
  const wanted = find("#search").value.trim().toLowerCase();
  const rank = (name) => [name === wanted, name.startsWith(wanted), true].indexOf(true);
  const names = data.names.map((name) => name.toLowerCase());
  const found = [...names.keys()].filter((item) => wanted && names[item].includes(wanted));
  matches = found.sort((a, b) => rank(names[a]) - rank(names[b]) || a - b).slice(0, MATCHES);
  active = 0;
  showMatches();
}

function showMatches() {
  find("#matches").replaceChildren(...matches.map((item, i) => {
    const option = make("li", { id: `match${i}`, role: "option", ariaSelected: `${i === active}` });
    const swatch = make("span", { className: "swatch" });
    swatch.style.background = fills[item];
    option.append(swatch, make("span", { textContent: data.names[item] }));
    option.addEventListener("pointerdown", (event) => {
      event.preventDefault(); // keeps the focus in the field, whose blur closes the list
      take(item);
    });
    return option;
  }));
  find("#matches").hidden = matches.length === 0;
  find("#search").setAttribute("aria-expanded", String(matches.length > 0));
  find("#search").setAttribute("aria-activedescendant", matches.length ? `match${active}` : "");
  update({ hover: matches[active] ?? null });
}

function closeMatches() {
  matches = [];
  showMatches();
}

function take(item) {
  find("#search").value = data.names[item];
  update({ item });
  closeMatches();
}

function onSearchKey(event) {
  const { key } = event;
  if (key === "Escape") {
    find("#search").value = "";
    closeMatches();
  } else if (matches.length === 0) return;
  else if (key === "Enter") take(matches[active]);
  else if (key === "ArrowDown" || key === "ArrowUp") {
    event.preventDefault();
    active = (active + (key === "ArrowDown" ? 1 : -1) + matches.length) % matches.length;
    showMatches();
  }
}

// ---- Pointer and keyboard ----

function turnBy(across, down) {
  const pitch = Math.min(Math.max(state.pitch + down, -90), 90);
  update({ yaw: (state.yaw + across) % 360, pitch });
}

// Undo the zoom of all panels.
function showWhole() {
  for (const panel of panels) panel.view = WHOLE;
}

// Zoom a flat panel about a place, by default its middle, and move it.
function zoomBy(panel, factor, at = [panel.width / 2, panel.height / 2], moved = [0, 0]) {
  if (panel.solid) return;
  const view = zoomed(panel, factor, at, moved);
  panel.view = view.by === 1 ? WHOLE : view;
  update({ hover: null });
}

// The wheel, where it can zoom; two fingers; and buttons.
function listenToZoom(panel) {
  const { canvas, figure } = panel;
  canvas.addEventListener("wheel", (event) => {
    const { by } = panel.view;
    if (panel.solid || (event.deltaY > 0 ? by === 1 : by === MOST_ZOOM)) return;
    event.preventDefault();
    const lines = event.deltaMode === 1 ? 20 : 1; // for a wheel that counts lines
    const pinch = event.ctrlKey ? 5 : 1; // as a touchpad tells of two fingers
    const turned = Math.min(Math.max(event.deltaY * lines * pinch, -200), 200);
    zoomBy(panel, 2 ** (-turned / 200), [event.offsetX, event.offsetY]);
  }, { passive: false });
  const fingers = new Map();
  const spread = () => {
    const [[x, y], [u, v]] = [...fingers.values()];
    return { far: Math.max(Math.hypot(x - u, y - v), 1), at: [(x + u) / 2, (y + v) / 2] };
  };
  canvas.addEventListener("pointermove", ({ pointerId, offsetX, offsetY }) => {
    if (!fingers.has(pointerId)) return;
    if (fingers.size !== 2) {
      fingers.set(pointerId, [offsetX, offsetY]);
      return;
    }
    const before = spread();
    fingers.set(pointerId, [offsetX, offsetY]);
    const { far, at } = spread();
    const moved = at.map((value, axis) => value - before.at[axis]);
    zoomBy(panel, far / before.far, before.at, moved);
  });
  canvas.addEventListener("pointerdown", ({ pointerId, pointerType, offsetX, offsetY }) => {
    if (pointerType === "touch") fingers.set(pointerId, [offsetX, offsetY]);
  });
  for (const event of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(event, ({ pointerId }) => fingers.delete(pointerId));
  }
  find(".in", figure).addEventListener("click", () => zoomBy(panel, 1.5));
  find(".out", figure).addEventListener("click", () => zoomBy(panel, 1 / 1.5));
  find(".whole", figure).addEventListener("click", () => zoomBy(panel, 0));
  panel.pinched = () => fingers.size > 1;
}

function listenToPanel(panel) {
  const { canvas } = panel;
  let last = null; // where the pointer was, while it is down
  let moved = 0;
  let before = {}; // the view, which a swipe that turns out to scroll brings back
  canvas.addEventListener("pointerdown", ({ offsetX, offsetY, pointerId, isPrimary }) => {
    if (!isPrimary) return;
    canvas.setPointerCapture(pointerId);
    [last, moved] = [[offsetX, offsetY], 0];
    before = { yaw: state.yaw, hover: null };
  });
  canvas.addEventListener("pointermove", ({ offsetX, offsetY, pointerType, isPrimary }) => {
    if (!isPrimary) return;
    if (last === null) {
      const hover = itemAt(panel, offsetX, offsetY);
      if (hover !== state.hover) update({ hover });
      return;
    }
    const [across, down] = [offsetX - last[0], offsetY - last[1]];
    moved += Math.abs(across) + Math.abs(down);
    last = [offsetX, offsetY];
    if (panel.pinched()) {
      moved = Infinity; // not a click
      return;
    }
    if (!panel.solid && moved > 4) zoomBy(panel, 1, [offsetX, offsetY], [across, down]);
    // A finger turns sideways only: up and down it scrolls.
    if (panel.solid && moved > 4) turnBy(0.5 * across, pointerType === "touch" ? 0 : 0.5 * down);
  });
  canvas.addEventListener("pointerup", ({ offsetX, offsetY }) => {
    if (last !== null && moved <= 4) update({ item: itemAt(panel, offsetX, offsetY) });
    last = null;
  });
  canvas.addEventListener("pointercancel", () => {
    last = null;
    update(before);
  });
  canvas.addEventListener("pointerleave", () => update({ hover: null }));
}

function listenToPlot() {
  let before = Infinity; // the epoch, which a swipe that turns out to scroll brings back
  const scrub = ({ type, offsetX, buttons }) => {
    if (type === "pointerdown") before = state.epoch;
    if (buttons && !plot.empty) seek(Math.round(epochAt(plot, offsetX)));
  };
  for (const event of ["pointerdown", "pointermove"]) plot.canvas.addEventListener(event, scrub);
  plot.canvas.addEventListener("pointercancel", () => seek(before));
}

// Whether the focused element handles a key itself.
function isTaken(key, element) {
  if (element.matches("input[type=text], select")) return true;
  if (element.matches("input[type=range]")) return key !== " " && key !== "/" && key !== "Escape";
  return key === " " && element.matches("button, input");
}

function onKey(event) {
  const { key, shiftKey } = event;
  if (event.ctrlKey || event.metaKey || event.altKey || isTaken(key, event.target)) return;
  const turns = { ArrowLeft: [-6, 0], ArrowRight: [6, 0], ArrowUp: [0, -6], ArrowDown: [0, 6] };
  const actions = {
    " ": () => isStill() || (state.playing ? pause() : play()),
    ArrowLeft: () => step(-1),
    ArrowRight: () => step(1),
    Home: () => seek(timeline[0]),
    End: () => seek(Infinity),
    Escape: () => update({ item: null, hover: null }),
    "/": () => find("#search").focus(),
    "+": () => panels.forEach((panel) => zoomBy(panel, 1.5)),
    "-": () => panels.forEach((panel) => zoomBy(panel, 1 / 1.5)),
    0: () => {
      showWhole();
      update({});
    },
  };
  const action = shiftKey && turns[key] ? () => turnBy(...turns[key]) : actions[key];
  if (!action) return;
  event.preventDefault();
  action();
}

// ---- Start ----

// The groups, each with its marker and its number of items.
function makeGroups() {
  find("#groups").hidden = data.groups === null;
  if (data.groups === null) return;
  const count = (place) => kind.filter((one) => one === place).length;
  find("#groups").append(...data.looks.map(({ label, outline, filled }, place) => {
    const entry = find("#group").content.cloneNode(true).firstElementChild;
    const colour = fills[kind.indexOf(place)];
    const shape = find("path", entry);
    const corners = outline?.map(([x, y]) => `${12 * x} ${-12 * y}`).join("L");
    shape.setAttribute("d", corners ? `M${corners}Z` : "M-6 0a6 6 0 1 0 12 0a6 6 0 1 0-12 0Z");
    shape.setAttribute("fill", filled ? colour : "none");
    shape.setAttribute("stroke", colour);
    find("span", entry).textContent = label;
    find(".count", entry).textContent = count(place);
    return entry;
  }));
}

// What only 3-D panels have.
function hideTurns() {
  const solid = data.truth || data.trainings.some(({ dim }) => dim > 2);
  for (const one of document.querySelectorAll(".turns")) one.hidden = !solid;
}

function makeChoices() {
  find("#choices").hidden = data.choices.length === 0;
  data.choices.forEach(({ name, label, values }, i) => {
    const select = make("select", { name });
    const option = (text, value) => make("option", { textContent: text, value });
    select.append(...values.map(option));
    select.addEventListener("change", () => {
      state.choice[i] = Number(select.value);
      state.playing = false;
      if (live) endLive();
      else choose();
    });
    const field = make("label", { textContent: `${label} ` });
    field.append(select);
    find("#choices").append(field);
  });
}

// Redraw where a canvas gets another size, or other pixels: on another screen, or zoomed. Some
// browsers send no event for the latter.
function listenToSize() {
  const resized = new ResizeObserver(redraw);
  for (const { canvas } of [...panels, plot]) resized.observe(canvas);
  let density = devicePixelRatio;
  setInterval(() => {
    if (devicePixelRatio === density) return;
    density = devicePixelRatio;
    redraw();
  }, 500);
}

function listen() {
  find("#play").addEventListener("click", () => (state.playing ? pause() : play()));
  find("#time").addEventListener("input", ({ target }) => step(Number(target.value) - moment));
  find("#speed").addEventListener("change", ({ target }) => update({ speed: +target.value }));
  for (const name of ["fit", "turn"]) {
    const field = find(`#${name}`);
    field.addEventListener("change", () => update({ [name]: field.checked }));
  }
  find("#theme").addEventListener("click", () => {
    state.theme = document.documentElement.dataset.theme === "dark" ? "light" : "dark";
    applyTheme();
    settle();
  });
  for (const media of [prefersDark, forced]) media.addEventListener("change", applyTheme);
  addEventListener("beforeprint", () => setPaper(true));
  addEventListener("afterprint", () => setPaper(false));
  matchMedia("print").addEventListener("change", ({ matches }) => setPaper(matches));
  find("#search").addEventListener("input", search);
  find("#search").addEventListener("keydown", onSearchKey);
  find("#search").addEventListener("focus", ({ target }) => target.select());
  find("#search").addEventListener("blur", closeMatches);
  document.addEventListener("keydown", onKey);
  addEventListener("hashchange", readAddress);
  panels.forEach(listenToPanel);
  panels.forEach(listenToZoom);
  listenToPlot();
  listenToSize();
}

useItems(committed);
makeChoices();
makeLive();
makeGroups();
hideTurns();
listen();
readAddress();

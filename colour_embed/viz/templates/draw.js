"use strict";

// Drawing on canvases: points, rotated and sorted by depth, and the loss curve. Functions take all
// they draw as arguments and do not read the page's state.
//
// A cloud is { points, columns, extent, unit, axes, ellipse }: coordinates [items * columns]; their
// bounds (see extentOf); the length of one unit of them, if a scale bar is drawn; the names of the
// axes, if any; the half axes of one item's ellipse, { item, halves }, if it is drawn. The first
// three columns are drawn.
// A look is { names, fills, shapes, kind, scale, ink, yaw, pitch, item, hover, near }: the settings
// of all panels, with angles in degrees, and the items to highlight. The marker of item i is
// shapes[kind[i]], { outline, filled }: the corners for a diameter of 1, y upward; null for a disc.

const PERSPECTIVE = 0.25;
const LOW = 20; // degrees: the scale of a 3-D panel fits this pitch, and shrinks for higher ones
const STEP = 1e-6; // of a half axis, by which its direction on the screen is found
const WHOLE = { by: 1, x: 0, y: 0 }; // a panel that is not zoomed
const MOST_ZOOM = 40;
const FONT = "system-ui, sans-serif";
const CORNERS = [0, 1, 2, 3, 4, 5, 6, 7].map((bits) => [bits & 1, (bits >> 1) & 1, bits >> 2]);

// The bounds of points [items * columns]: their midpoint, and the largest distance from it across
// (in 3-D, horizontally), up, and in any direction.
function extentOf(points, columns) {
  const drawn = Math.min(columns, 3);
  const low = [Infinity, Infinity, Infinity];
  const high = [-Infinity, -Infinity, -Infinity];
  for (let at = 0; at < points.length; at += columns) {
    for (let axis = 0; axis < drawn; axis++) {
      low[axis] = Math.min(low[axis], points[at + axis]);
      high[axis] = Math.max(high[axis], points[at + axis]);
    }
  }
  const middle = low.map((value, axis) => (axis < drawn ? (value + high[axis]) / 2 : 0));
  const extent = { middle, across: 0, up: 0, any: 0 };
  for (let at = 0; at < points.length; at += columns) {
    const [x, y, z] = middle.map((value, axis) => (axis < drawn ? points[at + axis] - value : 0));
    extent.across = Math.max(extent.across, drawn > 2 ? Math.hypot(x, y) : Math.abs(x));
    extent.up = Math.max(extent.up, Math.abs(drawn > 2 ? z : y));
    extent.any = Math.max(extent.any, Math.hypot(x, y, z));
  }
  return extent;
}

// The items nearest to one of them in all columns of a cloud; of equals the first comes first.
function nearest({ points, columns }, item, wanted) {
  const distance = new Float64Array(points.length / columns);
  for (let i = 0; i < distance.length; i++) {
    for (let column = 0; column < columns; column++) {
      distance[i] += (points[i * columns + column] - points[item * columns + column]) ** 2;
    }
  }
  const others = [...distance.keys()].filter((i) => i !== item);
  return others.sort((a, b) => distance[a] - distance[b] || a - b).slice(0, wanted);
}

// Give a canvas as many pixels as it has on the screen, or `sharpness` times as many, measured in
// CSS pixels from then on.
function fitCanvas(panel) {
  const { canvas, context, sharpness = 1 } = panel;
  const ratio = (devicePixelRatio || 1) * sharpness;
  [panel.width, panel.height] = [canvas.clientWidth, canvas.clientHeight];
  const across = Math.round(panel.width * ratio);
  const down = Math.round(panel.height * ratio);
  if (canvas.width !== across) canvas.width = across;
  if (canvas.height !== down) canvas.height = down;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, panel.width, panel.height);
}

// Draw a cloud into a panel { canvas, context }, which keeps what `itemAt` needs.
function drawPanel(panel, cloud, look) {
  fitCanvas(panel);
  Object.assign(panel, { cloud, solid: cloud.columns > 2, line: cloud.columns === 1 });
  if (cloud.points.length === 0) {
    const none = "No finite numbers were kept of this training.";
    drawText(panel, look.starting ? "The training starts." : none, 20, 30, look.ink.quiet);
    return;
  }
  placeAll(panel, look);
  if (panel.solid) drawBox(panel, look.ink);
  if (panel.line) drawStrokes(panel, look);
  else drawDots(panel, look);
  if (cloud.ellipse) drawEllipse(panel, cloud.ellipse, look);
  if (cloud.unit) drawScaleBar(panel, look.ink);
  if (cloud.axes) drawAxes(panel, look.ink);
  for (const i of look.near) drawRing(panel, i, 1.5, 1.2, look.ink);
  const named = [...new Set([look.item, look.hover])].filter((i) => i !== null);
  for (const i of named) drawRing(panel, i, 5, 2.2, look.ink);
  for (const i of named) drawName(panel, i, look);
}

// Set up a panel's scale, eye and shift, and find where each point falls on the screen.
function placeAll(panel, look) {
  const { points, columns, extent } = panel.cloud;
  const [x, y, z] = extent.middle;
  panel.shift = panel.solid ? WHOLE : panel.view ?? WHOLE;
  panel.zoom = panel.shift.by * zoomOf(panel, look.pitch);
  const size = Math.min(Math.max(Math.min(panel.width, panel.height) / 95, 3), 6);
  panel.radius = size * look.scale;
  panel.lanes = look.shapes.length;
  panel.kind = look.kind;
  panel.yaw = angle(look.yaw);
  panel.pitch = angle(look.pitch);
  panel.screen ??= new Float32Array(3 * look.names.length);
  panel.order ??= [...look.names.keys()];
  const { screen, order } = panel;
  for (let i = 0, at = 0; at < points.length; i++, at += columns) {
    const up = columns > 1 ? points[at + 1] - y : 0;
    place(panel, points[at] - x, up, columns > 2 ? points[at + 2] - z : 0, screen, 3 * i);
  }
  order.sort((a, b) => screen[3 * b + 2] - screen[3 * a + 2] || a - b);
}

// What a flat panel shows when it is zoomed by a factor about a place in it, and moved: how many
// times the size, and how far its middle is from the panel's, in pixels.
function zoomed({ width, height, view = WHOLE }, factor, [left, top], [across, down] = [0, 0]) {
  const by = Math.min(Math.max(view.by * factor, 1), MOST_ZOOM);
  const shift = (from, at, size, moved) => {
    const most = ((by - 1) * size) / 2;
    const to = at - ((at - from) * by) / view.by + moved;
    return Math.min(Math.max(to, -most), most);
  };
  const x = shift(view.x, left - width / 2, width, across);
  const y = shift(view.y, top - height / 2, height, down);
  return { by, x, y };
}

// Pixels for one count, such that all points stay in sight however they are turned sideways.
function zoomOf({ solid, cloud, width, height }, pitch) {
  const { across, up } = cloud.extent;
  const heights = [LOW, pitch].map((one) => heightOf(cloud.extent, angle(one)));
  const needed = solid ? Math.max(...heights) : up;
  const room = (length) => Math.max(length / 2 - 24, 1);
  return Math.min(room(width) / (across || 1), needed ? room(height) / needed : Infinity);
}

// How far up or down the screen the cylinder around a solid cloud reaches at its near edge.
function heightOf({ across, up, any }, { cos, sin }) {
  const nearness = Math.max(across * cos - up * Math.abs(sin), 0) / (any || 1);
  return (up * cos + across * Math.abs(sin)) / (1 - PERSPECTIVE * nearness);
}

function angle(degrees) {
  const radians = (degrees * Math.PI) / 180;
  return { cos: Math.cos(radians), sin: Math.sin(radians) };
}

// From coordinates around the middle to pixels, z upward, seen from the front; depth runs from -1,
// nearest to the eye, to 1.
function place({ solid, cloud, zoom, shift, yaw, pitch, width, height }, x, y, z, screen, at) {
  let depth = 0;
  if (solid) {
    const across = x * yaw.cos - y * yaw.sin;
    const away = x * yaw.sin + y * yaw.cos;
    depth = (away * pitch.cos - z * pitch.sin) / (cloud.extent.any || 1);
    const nearer = 1 / (1 + PERSPECTIVE * depth);
    x = across * nearer;
    y = (away * pitch.sin + z * pitch.cos) * nearer;
  }
  screen[at] = width / 2 + shift.x + x * zoom;
  screen[at + 1] = height / 2 + shift.y - y * zoom;
  screen[at + 2] = depth;
}

// Far points fade a little; a grey edge keeps those visible that have the ground's colour. A marker
// that is not filled has its outline in its colour.
function drawDots({ context, screen, order, radius, solid }, { fills, shapes, kind, ink }) {
  for (const i of order) {
    const depth = screen[3 * i + 2];
    const { outline, filled } = shapes[kind[i]];
    context.globalAlpha = solid ? 0.8 - 0.2 * depth : 1;
    trace(context, outline, screen[3 * i], screen[3 * i + 1], radius * (1 - 0.15 * depth));
    context.fillStyle = filled ? fills[i] : ink.surface;
    context.strokeStyle = filled ? ink.edge : fills[i];
    context.lineWidth = filled ? 0.8 : 1.6;
    context.fill();
    context.stroke();
  }
  context.globalAlpha = 1;
}

function trace(context, outline, x, y, radius) {
  context.beginPath();
  if (outline === null) {
    context.arc(x, y, radius, 0, 2 * Math.PI);
    return;
  }
  for (const [across, up] of outline) {
    context.lineTo(x + 2 * radius * across, y - 2 * radius * up);
  }
  context.closePath();
}

// One dimension: strokes on a line, all their grey edges below; each kind of items in a lane.
function drawStrokes(panel, { fills, ink }) {
  const { context, screen, order } = panel;
  for (const [fillOf, width] of [[() => ink.edge, 3.4], [(i) => fills[i], 2]]) {
    for (const i of order) {
      const [top, height] = laneOf(panel, i);
      context.fillStyle = fillOf(i);
      context.fillRect(screen[3 * i] - width / 2, top, width, height);
    }
  }
}

// The top and the height of an item's stroke.
function laneOf({ height, lanes, kind }, i) {
  const lane = (0.4 * height) / lanes;
  return [0.3 * height + lane * kind[i], lanes > 1 ? 0.85 * lane : lane];
}

// The ellipse of an item; of an ellipsoid the outline, of an interval a bar above the strokes. The
// colour has an edge on both sides, so that it is seen on points and on the ground.
function drawEllipse(panel, { item, halves }, { fills, ink }) {
  const { context, screen, line, height } = panel;
  const [x, y] = [screen[3 * item], screen[3 * item + 1]];
  const { radii, turn } = outlineOf(halvesOnScreen(panel, item, halves));
  context.beginPath();
  if (line) {
    const top = 0.3 * height - 14;
    for (const end of [x - radii[0], x + radii[0]]) {
      context.moveTo(end, top - 6);
      context.lineTo(end, top + 6);
    }
    context.moveTo(x - radii[0], top);
    context.lineTo(x + radii[0], top);
  } else {
    context.ellipse(x, y, ...radii, turn, 0, 2 * Math.PI);
    context.globalAlpha = 0.1;
    context.fillStyle = fills[item];
    context.fill();
    context.globalAlpha = 1;
  }
  for (const [style, width] of [[ink.ink, 4], [fills[item], 2]]) {
    context.strokeStyle = style;
    context.lineWidth = width;
    context.stroke();
  }
}

// The half axes [k * k] around an item, in pixels. They are mapped linearly, as the place of the
// item is, since perspective may put the far end of a long one behind the eye.
function halvesOnScreen(panel, item, halves) {
  const { points, columns, extent } = panel.cloud;
  const drawn = Math.min(columns, 3);
  const middle = extent.middle.map((value, axis) =>
    axis < drawn ? points[item * columns + axis] - value : 0);
  const [here, there] = [[], []];
  place(panel, ...middle, here, 0);
  return Array.from({ length: drawn }, (_, half) => {
    const step = (value, axis) => value + (axis < drawn ? STEP * halves[half * drawn + axis] : 0);
    place(panel, ...middle.map(step), there, 0);
    return [(there[0] - here[0]) / STEP, (there[1] - here[1]) / STEP];
  });
}

// The radii and the angle of the ellipse that is the image of a ball under columns [x, y].
function outlineOf(columns) {
  const sum = (term) => columns.reduce((total, column) => total + term(column), 0);
  const [xx, yy, xy] = [sum(([x]) => x * x), sum(([, y]) => y * y), sum(([x, y]) => x * y)];
  const apart = Math.hypot((xx - yy) / 2, xy);
  const squares = [(xx + yy) / 2 + apart, Math.max((xx + yy) / 2 - apart, 0)];
  return { radii: squares.map(Math.sqrt), turn: Math.atan2(xy, (xx - yy) / 2) / 2 };
}

// The cube that the named axes span; without names a reference cube, whose corners are as far out
// as the outermost point.
function drawBox(panel, ink) {
  const { context, cloud } = panel;
  const half = cloud.axes ? cloud.extent.up : cloud.extent.any / Math.sqrt(3);
  const corner = new Float32Array(24);
  CORNERS.forEach((bits, i) => {
    const [x, y, z] = bits.map((bit) => (2 * bit - 1) * half);
    place(panel, x, y, z, corner, 3 * i);
  });
  context.strokeStyle = ink.faint;
  context.lineWidth = 1;
  context.beginPath();
  for (let i = 0; i < 8; i++) {
    for (const bit of [1, 2, 4]) {
      if (i & bit) continue;
      context.moveTo(corner[3 * i], corner[3 * i + 1]);
      context.lineTo(corner[3 * (i | bit)], corner[3 * (i | bit) + 1]);
    }
  }
  context.stroke();
}

// The names of a cloud's axes at their far ends, legible over points.
function drawAxes(panel, ink) {
  const { context, cloud } = panel;
  const half = cloud.extent.up;
  const at = new Float32Array(3);
  context.strokeStyle = ink.surface;
  context.lineWidth = 4;
  cloud.axes.forEach((name, axis) => {
    const end = [-half, -half, -half];
    end[axis] = 1.16 * half;
    place(panel, ...end, at, 0);
    context.font = `12px ${FONT}`;
    context.textAlign = "center";
    context.textBaseline = "middle";
    context.strokeText(name, at[0], at[1]);
    drawText(panel, name, at[0], at[1], ink.quiet, "center");
  });
}

function drawText({ context }, text, x, y, fill, align = "left") {
  context.font = `12px ${FONT}`;
  context.textAlign = align;
  context.textBaseline = "middle";
  context.fillStyle = fill;
  context.fillText(text, x, y);
}

// The largest of 1, 2 and 5 times a power of ten that is not above a value.
function niceBelow(value) {
  const power = 10 ** Math.floor(Math.log10(value));
  return [5, 2, 1].map((factor) => factor * power).find((nice) => nice <= value) ?? power;
}

function drawScaleBar(panel, ink) {
  const pixels = panel.zoom / panel.cloud.unit; // of a length of 1
  const length = niceBelow((0.22 * panel.width) / pixels);
  if (!Number.isFinite(length)) return;
  panel.context.fillStyle = ink.quiet;
  panel.context.fillRect(12, panel.height - 10, length * pixels, 2);
  drawText(panel, String(Number(length.toPrecision(1))), 12, panel.height - 19, ink.quiet);
}

// A ring around a point, or a tick below a stroke.
function drawRing({ context, screen, radius, line, height }, i, more, width, ink) {
  const [x, y] = [screen[3 * i], screen[3 * i + 1]];
  context.strokeStyle = ink.ink;
  context.lineWidth = width;
  context.beginPath();
  if (line) {
    context.moveTo(x, 0.7 * height + 2);
    context.lineTo(x, 0.7 * height + 4 + 3 * more);
  } else {
    context.arc(x, y, radius + more, 0, 2 * Math.PI);
  }
  context.stroke();
}

// A name beside its point, on a ground of its own and within the panel.
function drawName({ context, screen, width, line, height }, i, { names, ink }) {
  const [x, y] = [screen[3 * i], line ? 0.7 * height + 34 : screen[3 * i + 1]];
  context.font = `600 13px ${FONT}`;
  const long = Math.min(context.measureText(names[i]).width, width - 40);
  const left = x + long + 30 < width ? x + 14 : Math.max(x - long - 26, 4);
  context.globalAlpha = 0.88;
  context.fillStyle = ink.surface;
  context.beginPath();
  context.roundRect(left, y - 11, long + 12, 22, 5);
  context.fill();
  context.globalAlpha = 1;
  context.textAlign = "left";
  context.textBaseline = "middle";
  context.fillStyle = ink.ink;
  context.fillText(names[i], left + 6, y, long);
}

// The nearest item within 12 pixels of a position in a panel, or null; of ties the last drawn.
function itemAt(panel, x, y) {
  const { cloud, screen, order, line } = panel;
  if (!cloud || cloud.points.length === 0) return null;
  let [found, least] = [null, 12 ** 2];
  for (const i of order) {
    const across = x - screen[3 * i];
    let up = y - screen[3 * i + 1];
    if (line) {
      const [top, height] = laneOf(panel, i);
      up = Math.max(top - y, y - top - height, 0);
    }
    const distance = across ** 2 + up ** 2;
    if (distance <= least) [found, least] = [i, distance];
  }
  return found;
}

// ---- The loss curve. A plot is { canvas, context, curves, others, lines }: the losses by epoch
// ---- from 1 on of the trainings shown and, behind them, of others; and levels to compare with.
// ---- `marked` is an epoch to mark, or null where an element over the canvas does.

const EDGES = { left: 44, right: 12, top: 8, bottom: 36 };

function drawPlot(plot, ink, marked) {
  fitCanvas(plot);
  const { curves, others, lines } = plot;
  const losses = [...curves, ...others];
  plot.last = Math.max(...curves.map(({ length }) => length), plot.planned ?? 1);
  const levels = losses.flatMap((loss) => [...loss]).filter(Number.isFinite);
  plot.empty = levels.length === 0;
  if (plot.empty) return;
  levels.push(...lines.map(({ value }) => value));
  const [low, high] = [Math.min, Math.max].map((pick) => levels.reduce((a, b) => pick(a, b)));
  const margin = 0.06 * (high - low) || 0.1;
  [plot.low, plot.high] = [low - margin, high + margin];
  drawLevels(plot, ink);
  drawEpochs(plot, ink);
  for (const loss of others) drawCurve(plot, loss, ink.faint, 1);
  curves.forEach((loss, i) => drawCurve(plot, loss, i ? ink.second : ink.accent, 2));
  if (marked === null) return;
  plot.context.fillStyle = ink.ink;
  const height = plot.height - EDGES.top - EDGES.bottom;
  plot.context.fillRect(plotX(plot, marked) - 1, EDGES.top, 2, height);
}

// Where an epoch stands: the scale is logarithmic, since most is learned early.
function plotX({ width, last }, epoch) {
  const share = Math.log(Math.max(epoch, 1)) / Math.log(Math.max(last, 2));
  return EDGES.left + share * (width - EDGES.left - EDGES.right);
}

// The epoch, not rounded, that stands at a place.
function epochAt({ width, last }, x) {
  return Math.max(last, 2) ** ((x - EDGES.left) / (width - EDGES.left - EDGES.right));
}

function plotY({ height, low, high }, value) {
  return EDGES.top + ((high - value) / (high - low)) * (height - EDGES.top - EDGES.bottom);
}

function drawLevels(plot, ink) {
  const { context, width, low, high, lines } = plot;
  const step = niceBelow((high - low) / 3);
  const digits = Math.max(0, -Math.floor(Math.log10(step)));
  for (let k = Math.ceil(low / step); k * step <= high; k++) {
    const y = plotY(plot, k * step);
    context.fillStyle = ink.line;
    context.fillRect(EDGES.left, y, width - EDGES.left - EDGES.right, 1);
    drawText(plot, (k * step).toFixed(digits), EDGES.left - 6, y, ink.quiet, "right");
  }
  context.strokeStyle = ink.quiet;
  context.lineWidth = 1;
  context.setLineDash([5, 4]);
  for (const { value } of lines) {
    context.beginPath();
    context.moveTo(EDGES.left, plotY(plot, value));
    context.lineTo(width - EDGES.right, plotY(plot, value));
    context.stroke();
  }
  context.setLineDash([]);
}

function drawEpochs(plot, ink) {
  const y = plot.height - EDGES.bottom + 11;
  const ticks = [plot.last];
  for (let epoch = 1; epoch * 2 <= plot.last; epoch *= 10) ticks.push(epoch);
  plot.context.font = `12px ${FONT}`;
  for (const epoch of ticks) {
    const room = plot.width - plot.context.measureText(epoch).width / 2;
    drawText(plot, String(epoch), Math.min(plotX(plot, epoch), room), y, ink.quiet, "center");
  }
  const middle = (EDGES.left + plot.width - EDGES.right) / 2;
  drawText(plot, "epoch", middle, plot.height - 8, ink.quiet, "center");
}

function drawCurve(plot, loss, colour, width) {
  const { context } = plot;
  context.strokeStyle = colour;
  context.lineWidth = width;
  context.beginPath();
  loss.forEach((value, i) => {
    if (Number.isFinite(value)) context.lineTo(plotX(plot, i + 1), plotY(plot, value));
  });
  context.stroke();
}

// The live ladder of one lane: the server's line above, the client's below, time running to the right; an arrow for what crossed.
//
// An event is a mark that travels: it appears on the server's line when it is due, waits there, goes down with the bytes that
// carry it, and lands on the client's line when the page has it.

// In the page's type size: lines and marks grow with it, as they must on a large screen.
const TOP = 1.05;
const BOTTOM = 0.95;
const HEAD = 0.47;
const EVENT = 0.3;
const DELIVERY = 0.37;

// Draws a lane's last `span` ms up to `now`; gives what can be clicked, as { crossing, x }.
export function draw(canvas, lane, { now, span, published, colours, em }) {
  const { pen, width, height } = cleared(canvas);
  const [server, client] = [TOP * em, height - BOTTOM * em];
  const thick = (pixels) => (pen.lineWidth = (pixels * em) / 15);
  const x = (at) => width - ((now - at) / span) * width;

  thick(1);
  pen.strokeStyle = colours.grid;
  const step = tick(span);
  for (let at = Math.ceil((now - span) / step) * step; at < now; at += step) line(pen, x(at), server, x(at), client);
  pen.strokeStyle = colours.ink;
  thick(1.5);
  line(pen, 0, server, width, server);
  line(pen, 0, client, width, client);

  // Waiting: from when an event was due until it left.
  const left = new Map();
  // A server that is started anew counts from 1 again: numbers belong together that one watch told of.
  const name = (watch, seq) => `${watch}-${seq}`;
  for (const { at, seqs, watch } of lane.crossings) {
    if (seqs === null || at < now - 2 * span) continue;
    for (let seq = seqs[0]; seq <= seqs[1]; seq += 1) if (!left.has(name(watch, seq))) left.set(name(watch, seq), at);
  }
  pen.strokeStyle = colours.lane;
  thick(5);
  pen.globalAlpha = 0.35;
  for (const event of published) {
    const departure = left.get(name(event.watch, event.seq));
    // What it had before it began, or got after it was cut, has no departure here.
    if (event.at < now - 2 * span || (departure === undefined && event.seq <= lane.cursor)) continue;
    line(pen, x(event.at), server, x(Math.min(departure ?? now, now)), server);
  }
  pen.globalAlpha = 1;

  const hits = [];
  for (const crossing of lane.crossings) {
    const end = crossing.arrived ?? now;
    if (end < now - span) continue;
    const [from, to] = crossing.up ? [client, server] : [server, client];
    const carries = crossing.seqs !== null;
    pen.strokeStyle = pen.fillStyle = carries ? colours.lane : colours.faint;
    thick(carries ? 2.5 : 1.5);
    pen.setLineDash(crossing.up ? [0.27 * em, 0.2 * em] : []);
    line(pen, x(crossing.left), from, x(end), to);
    pen.setLineDash([]);
    head(pen, HEAD * em, x(crossing.left), from, x(end), to);
    hits.push({ crossing, x: (x(crossing.left) + x(end)) / 2 });
  }

  pen.fillStyle = colours.ink;
  for (const event of published) mark(pen, lane.name, x(event.at), server, EVENT * em);
  pen.fillStyle = colours.lane;
  for (const delivery of lane.deliveries) mark(pen, lane.name, x(delivery.there), client, DELIVERY * em);
  return hits;
}

// The times below all lanes.
export function axis(canvas, { span, colours, unit, em }) {
  const { pen, width, height } = cleared(canvas);
  pen.fillStyle = colours.faintInk;
  pen.font = `${Math.round(em * 0.85)}px system-ui, sans-serif`;
  pen.textBaseline = 'middle';
  const step = tick(span);
  for (let back = 0; back < span; back += step) {
    const text = back === 0 ? unit.now : `-${back / 1000} ${unit.s}`;
    pen.textAlign = back === 0 ? 'right' : 'center';
    pen.fillText(text, width - (back / span) * width, height / 2);
  }
}

// An empty canvas of as many pixels as the screen has in its place, to be drawn on in the page's measures.
function cleared(canvas) {
  const scale = window.devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  // To set a size, even the same one, makes a new canvas.
  if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
  if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
  const pen = canvas.getContext('2d');
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  return { pen, width, height };
}

function tick(span) {
  return [100, 200, 500, 1000, 2000, 5000, 10_000].find((step) => span / step <= 8) ?? 10_000;
}

function line(pen, fromX, fromY, toX, toY) {
  pen.beginPath();
  pen.moveTo(fromX, fromY);
  pen.lineTo(toX, toY);
  pen.stroke();
}

function head(pen, size, fromX, fromY, toX, toY) {
  const length = Math.hypot(toX - fromX, toY - fromY) || 1;
  const [ux, uy] = [(toX - fromX) / length, (toY - fromY) / length];
  pen.beginPath();
  pen.moveTo(toX, toY);
  for (const side of [1, -1]) {
    pen.lineTo(toX - size * ux - side * size * 0.4 * uy, toY - size * uy + side * size * 0.4 * ux);
  }
  pen.fill();
}

// Each lane's mark has a shape of its own, so that colour is not all that tells them apart.
function mark(pen, name, x, y, size) {
  if (x < -size || x > pen.canvas.width) return;
  pen.beginPath();
  const corners = {
    long_polling: [[-1, -1], [1, -1], [1, 1], [-1, 1]],
    ndjson: [[0, -1.2], [1.1, 1], [-1.1, 1]],
    sse: [[-1.1, -1], [1.1, -1], [0, 1.2]],
    websocket: [[0, -1.3], [1.3, 0], [0, 1.3], [-1.3, 0]],
  }[name];
  if (corners) corners.forEach(([dx, dy]) => pen.lineTo(x + dx * size, y + dy * size));
  else pen.arc(x, y, size, 0, 2 * Math.PI);
  pen.fill();
}

// A small distribution of latencies: how many fell into each of some steps up to the longest.
export function distribution(canvas, latencies, colour) {
  const { pen, width, height } = cleared(canvas);
  if (latencies.length === 0) return;
  const STEPS = 24;
  const most = latencies.reduce((most, late) => Math.max(most, late), 1e-3);
  const counts = new Array(STEPS).fill(0);
  for (const late of latencies) counts[Math.min(STEPS - 1, Math.max(0, Math.floor((late / most) * STEPS)))] += 1;
  const highest = Math.max(...counts);
  pen.fillStyle = colour;
  counts.forEach((count, step) => {
    const tall = (count / highest) * (height - 2);
    pen.fillRect((step * width) / STEPS, height - tall, width / STEPS - 1, tall);
  });
}

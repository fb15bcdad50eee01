// Draws the live ladder diagram of one lane: the server's line at the top, the client's line at the bottom, time from left to right, and an
// arrow for each chunk of bytes: the more bytes, the thicker. A chunk with several events has an arrow for each of them.
//
// The server has no trace of QUIC, whose packets are encrypted. There, an arrow leads from when an event was due to when the page received it.
//
// A mark on the server's line shows when an event was due. A thick line after it shows how long the event waited at the server. The arrow
// of the chunk that carries it leads to the client's line, where another mark shows when the page received the event. A bolt is where the
// connection was cut; an arrow that ends half-way in a cross was lost there. A hook leads from the request that resumed to the last event
// before it.

import { arrows, resumptions } from './arrows.js';

// Sizes, in multiples of the page's font size, so that lines and marks grow with it on a large screen. `TOP` is the distance of the
// server's line from the upper edge, `BOTTOM` that of the client's line from the lower edge. `EVENT` and `DELIVERY` are the sizes of the
// marks on these lines.
const TOP = 1.05;
const BOTTOM = 0.95;
const ARROWHEAD = 0.47;
const EVENT = 0.3;
const DELIVERY = 0.37;

// Draws a lane's last `span` ms up to `now`. `em` is the font size in pixels. `names` has the names of both lines and of the kinds of arrows,
// of which one each is named, and the words for several events and a resumption; `named` remembers the named arrows by their kinds. Returns
// the arrows that can be clicked, as { chunk, x }; `x` is the middle of the arrow.
export function draw(canvas, lane, { now, span, published, colours, corners, em, traced, names, named }) {
  const { pen, width, height } = cleared(canvas);
  const [server, client] = [TOP * em, height - BOTTOM * em];
  // Widths are in pixels at a font size of 15.
  const lineWidth = (pixels) => (pen.lineWidth = (pixels * em) / 15);
  const x = (at) => width - ((now - at) / span) * width;

  lineWidth(1);
  pen.strokeStyle = colours.grid;
  const step = gridStep(span);
  for (let at = Math.ceil((now - span) / step) * step; at < now; at += step) line(pen, x(at), server, x(at), client);
  pen.strokeStyle = colours.ink;
  lineWidth(1.5);
  line(pen, 0, server, width, server);
  line(pen, 0, client, width, client);

  // Waiting: from when an event was due until it was sent.
  const sent = new Map();
  // A restarted server counts from 1 again, so sequence numbers are compared within one trace session only.
  const key = (traceSession, seq) => `${traceSession}-${seq}`;
  for (const { at, seqs, traceSession } of lane.chunks) {
    if (seqs === null || at < now - 2 * span) continue;
    for (let seq = seqs[0]; seq <= seqs[1]; seq += 1) if (!sent.has(key(traceSession, seq))) sent.set(key(traceSession, seq), at);
  }
  pen.strokeStyle = pen.fillStyle = colours.lane;
  lineWidth(2.5);
  for (const { at, receivedAt } of traced ? [] : lane.deliveries) {
    line(pen, x(at), server, x(receivedAt), client);
    arrowhead(pen, ARROWHEAD * em, x(at), server, x(receivedAt), client);
  }
  lineWidth(5);
  pen.globalAlpha = 0.35;
  for (const event of traced ? published : []) {
    const sentAt = sent.get(key(event.traceSession, event.seq));
    // The trace has no send time for an event that the lane received before the trace session began or after its connection was cut.
    if (event.at < now - 2 * span || (sentAt === undefined && event.seq <= lane.cursor)) continue;
    line(pen, x(event.at), server, x(Math.min(sentAt ?? now, now)), server);
  }
  pen.globalAlpha = 1;

  const hits = [];
  const middles = new Map();
  const words = [];
  const bursts = new Bursts(0.7 * em);
  for (const { chunk, kind, from: sentAt, ends, isLost, events } of arrows(lane, { since: now - span, now })) {
    const [from, to] = chunk.up ? [client, server] : [server, client];
    pen.strokeStyle = pen.fillStyle = events > 0 ? colours.lane : colours.faint;
    const last = ends.at(-1);
    // The picture has at most one line for each pixel. The lines share the bytes.
    const visible = ends.filter((end, index) => index === 0 || Math.round(x(end)) !== Math.round(x(ends[index - 1])));
    lineWidth(thickness(chunk.size / visible.length));
    pen.setLineDash(chunk.up || isLost ? [0.27 * em, 0.2 * em] : []);
    for (const end of isLost ? [] : visible) line(pen, x(sentAt), from, x(end), to);
    pen.setLineDash([]);
    if (isLost) drawLost(pen, em, x(sentAt), from, x(last), to, colours.bad);
    else for (const end of visible) arrowhead(pen, ARROWHEAD * em, x(sentAt), from, x(end), to);
    const middle = (x(sentAt) + x(last)) / 2;
    hits.push({ chunk, x: middle });
    middles.set(chunk.id, middle);
    // A new connection was opened before the request.
    if (kind === 'request' && chunk.sentAt - chunk.askedAt > 1) {
      lineWidth(2.5);
      pen.setLineDash([0.1 * em, 0.2 * em]);
      line(pen, x(chunk.askedAt), client, x(chunk.sentAt), client);
      pen.setLineDash([]);
    }
    if (!kind) continue;
    // The arrow that is named stays so until it has left the picture.
    const isVisible = middle > 5 * em;
    if (isVisible && !(middles.get(named.get(kind)) > 5 * em)) named.set(kind, chunk.id);
    // Beside the first third of the arrow, where a request and its response are apart.
    const third = [x(sentAt) + (x(last) - x(sentAt)) / 3 + 0.5 * em, from + (to - from) / 3];
    if (isVisible && events > 0) bursts.add(third, events);
    if (isVisible && named.get(kind) === chunk.id) words.push([names[kind], ...third]);
  }
  words.unshift(...bursts.found.map(({ place, events }) => [names.events(events), ...place]));
  for (const { cutAt, at, after, eventAt } of resumptions(lane, published)) {
    if (at > now - span && after !== undefined) {
      pen.strokeStyle = pen.fillStyle = colours.ink;
      lineWidth(1.5);
      hook(pen, em, x(at), eventAt === undefined ? x(at) - 2 * em : x(eventAt), server);
      words.unshift([names.resumed(after), x(at) + 0.4 * em, server + 0.7 * em]);
    }
    if (cutAt < now - span) continue;
    pen.fillStyle = colours.bad;
    bolt(pen, em, x(cutAt), (server + client) / 2);
  }

  pen.font = `${Math.round(em * 0.8)}px system-ui, sans-serif`;
  pen.textBaseline = 'middle';
  pen.fillStyle = colours.faintInk;
  pen.textAlign = 'left';
  pen.fillText(names.server, 0.2 * em, server - 0.55 * em);
  pen.fillText(names.browser, 0.2 * em, client + 0.55 * em);
  pen.strokeStyle = colours.paper;
  lineWidth(4);
  // A word that would cover another one is left out.
  const written = [];
  for (const [word, left, middle] of words) {
    const right = left + pen.measureText(word).width;
    if (written.some((other) => left < other.right && right > other.left && Math.abs(middle - other.middle) < em)) continue;
    written.push({ left, right, middle });
    pen.strokeText(word, left, middle);
    pen.fillText(word, left, middle);
  }

  pen.fillStyle = colours.ink;
  for (const event of published) mark(pen, corners, x(event.at), server, EVENT * em);
  pen.fillStyle = colours.lane;
  for (const delivery of lane.deliveries) mark(pen, corners, x(delivery.receivedAt), client, DELIVERY * em);
  return hits;
}

// Draws the time axis below all lanes.
export function axis(canvas, { span, colours, unit, em }) {
  const { pen, width, height } = cleared(canvas);
  pen.fillStyle = colours.faintInk;
  pen.font = `${Math.round(em * 0.85)}px system-ui, sans-serif`;
  pen.textBaseline = 'middle';
  const step = gridStep(span);
  for (let back = 0; back < span; back += step) {
    const text = back === 0 ? unit.now : `-${back / 1000} ${unit.s}`;
    pen.textAlign = back === 0 ? 'right' : 'center';
    pen.fillText(text, width - (back / span) * width, height / 2);
  }
}

// Clears a canvas and gives it the screen's resolution. Its context then draws in CSS pixels.
export function cleared(canvas) {
  const scale = window.devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  // Assigning a size, even the same one, reallocates the canvas.
  if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
  if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
  const pen = canvas.getContext('2d');
  pen.setTransform(scale, 0, 0, scale, 0, 0);
  pen.clearRect(0, 0, width, height);
  return { pen, width, height };
}

// The distance between two lines of the grid, in ms: at most eight of them fit into `span`.
function gridStep(span) {
  return [100, 200, 500, 1000, 2000, 5000, 10_000].find((step) => span / step <= 8) ?? 10_000;
}

function line(pen, fromX, fromY, toX, toY) {
  pen.beginPath();
  pen.moveTo(fromX, fromY);
  pen.lineTo(toX, toY);
  pen.stroke();
}

// Arrows that carry several events, or are so close to each other that they look like one. A server may divide a burst among several writes.
class Bursts {
  #width;
  #last = null;
  found = [];

  constructor(width) {
    this.#width = width;
  }

  // Adds an arrow with that many events, beside which a word would begin at `place`.
  add(place, events) {
    if (this.#last && place[0] - this.#last.place[0] < this.#width) this.#last.events += events;
    else this.#last = { place, events };
    if (this.#last.events > 1 && this.found.at(-1) !== this.#last) this.found.push(this.#last);
  }
}

// The width of an arrow for that many bytes, in pixels at a font size of 15: 1.5 for up to 100 bytes, 7 for 64 kB.
function thickness(bytes) {
  return Math.min(7, Math.max(1.5, 1.5 + 0.6 * Math.log2(bytes / 100)));
}

// Draws bytes that were lost on their way: half of it, and a cross.
function drawLost(pen, em, fromX, fromY, toX, toY, colour) {
  const [x, y] = [fromX + Math.min((toX - fromX) / 2, 2 * em), (fromY + toY) / 2];
  line(pen, fromX, fromY, x, y);
  pen.strokeStyle = colour;
  const size = 0.3 * em;
  line(pen, x - size, y - size, x + size, y + size);
  line(pen, x - size, y + size, x + size, y - size);
}

// Draws a bolt, where a connection was cut.
function bolt(pen, em, x, y) {
  const corners = [[0.15, -0.9], [-0.4, 0.1], [-0.05, 0.1], [-0.15, 0.9], [0.4, -0.15], [0.05, -0.15]];
  pen.beginPath();
  corners.forEach(([dx, dy]) => pen.lineTo(x + dx * em, y + dy * em));
  pen.fill();
}

// Draws a hook above the line at `y`, which leads back from `fromX` to `toX`.
function hook(pen, em, fromX, toX, y) {
  pen.beginPath();
  pen.moveTo(fromX, y);
  pen.bezierCurveTo(fromX, y - 1.1 * em, toX, y - 1.1 * em, toX, y);
  pen.stroke();
  arrowhead(pen, ARROWHEAD * em, toX, y - em, toX, y);
}

// Draws the head of an arrow that ends at (toX, toY).
function arrowhead(pen, size, fromX, fromY, toX, toY) {
  const length = Math.hypot(toX - fromX, toY - fromY) || 1;
  const [ux, uy] = [(toX - fromX) / length, (toY - fromY) / length];
  pen.beginPath();
  pen.moveTo(toX, toY);
  for (const side of [1, -1]) {
    pen.lineTo(toX - size * ux - side * size * 0.4 * uy, toY - size * uy + side * size * 0.4 * ux);
  }
  pen.fill();
}

// Draws a mark: a polygon with these corners, or a circle if there are none. Each lane has its own shape, so that the lanes can be
// distinguished without colour.
function mark(pen, corners, x, y, size) {
  if (x < -size || x > pen.canvas.width) return;
  pen.beginPath();
  if (corners.length) corners.forEach(([dx, dy]) => pen.lineTo(x + dx * size, y + dy * size));
  else pen.arc(x, y, size, 0, 2 * Math.PI);
  pen.fill();
}

// Draws a small histogram of latencies: 24 bins of equal width, up to the longest latency.
export function histogram(canvas, latencies, colour) {
  const { pen, width, height } = cleared(canvas);
  if (latencies.length === 0) return;
  const BINS = 24;
  const longest = latencies.reduce((longest, latency) => Math.max(longest, latency), 1e-3);
  const counts = new Array(BINS).fill(0);
  for (const latency of latencies) counts[Math.min(BINS - 1, Math.max(0, Math.floor((latency / longest) * BINS)))] += 1;
  const largest = Math.max(...counts);
  pen.fillStyle = colour;
  counts.forEach((count, bin) => {
    const barHeight = (count / largest) * (height - 2);
    pen.fillRect((bin * width) / BINS, height - barHeight, width / BINS - 1, barHeight);
  });
}

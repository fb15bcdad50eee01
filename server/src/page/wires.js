// Draws the line between the server and one phone, at one moment: requests on their way up, responses without an event, and the numbered ball.

import { cleared } from './ladder.js';
import { isRequest } from './flight.js';

// Draws what is under way on a lane's line at `time`. `ball` is { label, leftAt, arrivedAt } for an event that is shown, or null.
// The line is dashed unless a connection, a request or a response between the two `isOpen`. `delay` is the delay of the modelled network,
// for a ball that has not arrived. The server is at the upper end of a vertical line, or else at the left end. `em` is the font size, in pixels.
export function drawWire(canvas, lane, { time, ball, isOpen, delay, vertical, colours, em }) {
  const { pen, width, height } = cleared(canvas);
  const radius = 0.9 * em;
  const [length, middle] = vertical ? [height, width / 2] : [width, height / 2];
  // The point at that fraction of the way from the server to the phone.
  const point = (fraction, aside = 0) => {
    const along = radius + 4 + fraction * (length - 2 * radius - 6);
    return vertical ? [middle + aside, along] : [along, middle + aside];
  };

  pen.lineCap = 'round';
  pen.lineWidth = 0.15 * em;
  pen.strokeStyle = colours.faint;
  pen.setLineDash(isOpen ? [] : [0.2 * em, 0.4 * em]);
  segment(pen, vertical ? [middle, 0] : [0, middle], vertical ? [middle, length] : [length, middle]);
  pen.setLineDash([]);

  for (const chunk of lane.chunks) {
    if (chunk.seqs || chunk.sentAt > time) continue;
    const end = chunk.arrivedAt ?? chunk.lostAt ?? Infinity;
    if (end <= time) continue;
    const request = isRequest(chunk);
    if (chunk.up && !request) continue;
    const fraction = share(time, chunk.sentAt, end, delay);
    const [x, y] = point(chunk.up ? 1 - fraction : fraction);
    pen.fillStyle = chunk.up ? colours.ink : colours.paper;
    pen.strokeStyle = colours.ink;
    pen.lineWidth = 0.1 * em;
    if (chunk.up) triangle(pen, x, y, 0.5 * em, vertical);
    else circle(pen, x, y, 0.32 * em, true);
  }

  // As long as it waits, the ball is in the server.
  if (!ball || ball.leftAt === undefined || time < ball.leftAt) return;
  const arrived = ball.arrivedAt !== undefined && time >= ball.arrivedAt;
  // A ball that has left and not arrived stops half-way: nobody knows where it is.
  const fraction = arrived ? 1 : share(time, ball.leftAt, ball.arrivedAt ?? Infinity, delay);
  const [x, y] = point(fraction);
  if (!arrived) {
    pen.strokeStyle = colours.lane;
    pen.globalAlpha = 0.45;
    pen.lineWidth = 0.35 * em;
    segment(pen, point(0), [x, y]);
    pen.globalAlpha = 1;
  }
  pen.fillStyle = colours.lane;
  circle(pen, x, y, radius - 2);
  pen.fillStyle = colours.paper;
  pen.font = `700 ${Math.round(ball.label.length > 2 ? radius * 0.8 : radius)}px system-ui, sans-serif`;
  pen.textAlign = 'center';
  pen.textBaseline = 'middle';
  pen.fillText(ball.label, x, y + 1);
}

// How much of the way is done at `time`. If the end is unknown, at most half of it.
function share(time, start, end, delay) {
  if (end === Infinity) return Math.min(0.5, (time - start) / Math.max(delay, 1));
  return end <= start ? 1 : Math.min(1, (time - start) / (end - start));
}

function segment(pen, from, to) {
  pen.beginPath();
  pen.moveTo(...from);
  pen.lineTo(...to);
  pen.stroke();
}

function circle(pen, x, y, radius, outlined = false) {
  pen.beginPath();
  pen.arc(x, y, radius, 0, 2 * Math.PI);
  pen.fill();
  if (outlined) pen.stroke();
}

// A triangle that points to the server: up, or to the left.
function triangle(pen, x, y, size, vertical) {
  const corners = vertical ? [[0, -1], [0.8, 0.7], [-0.8, 0.7]] : [[-1, 0], [0.7, 0.8], [0.7, -0.8]];
  pen.beginPath();
  corners.forEach(([dx, dy]) => pen.lineTo(x + dx * size, y + dy * size));
  pen.fill();
}

// The wire, opened up: the bytes of a crossing with overhead and event told apart, a frame by its bits, and the handshake by hand.

import { frame, parts } from './bytes.js';
import { sha1 } from './sha1.js';
import { text } from './text.js';

// RFC 6455, section 1.3: the same for every handshake there ever was.
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

function element(tag, content, name) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (content !== undefined) made.textContent = content;
  return made;
}

// Shows a crossing of a lane.
export function showCrossing(place, lane, crossing) {
  const heading = element('p', undefined, 'about');
  heading.append(
    element('strong', `${text(lane.name)}, ${text(crossing.up ? 'fromPage' : 'fromServer')}: ${crossing.size} ${text('bytes')}`),
    element('span', ` ${crossing.size - crossing.eventBytes} ${text('overhead')}, ${crossing.eventBytes} ${text('ofEvent')}`),
  );
  const bytes = element('pre', undefined, 'bytes');
  for (const part of parts(crossing)) bytes.append(element('span', part.text, part.kind));
  if (crossing.data.length < crossing.size) bytes.append(element('span', ` + ${crossing.size - crossing.data.length} B`, 'rest'));
  place.replaceChildren(heading, bytes);
  // Where an event goes on that was begun before, no frame begins.
  const framed = lane.name === 'websocket' && crossing.events[0]?.[0] !== 0 ? frame(crossing.data) : null;
  if (framed) place.append(bits(framed));
}

function bits(framed) {
  const box = element('div', undefined, 'frame');
  box.append(element('h3', text('frame')));
  const row = element('div', undefined, 'bits');
  for (const [name, value, meaning] of framed.fields) {
    const field = element('div');
    field.append(element('code', value), element('span', name), element('span', meaning, 'meaning'));
    row.append(field);
  }
  const payload = element('p', `${text('payloadText')}: `);
  payload.append(element('code', framed.text));
  box.append(row, payload);
  return box;
}

// Shows how the Accept of a WebSocket's handshake comes about, from the two heads that crossed for it.
export function showHandshake(place, { request, response }) {
  const key = /^sec-websocket-key: *(\S+)/im.exec(request)?.[1];
  const answered = /^sec-websocket-accept: *(\S+)/im.exec(response)?.[1];
  if (!key || !answered) return;
  const digest = sha1(new TextEncoder().encode(key + GUID));
  const accept = btoa(String.fromCharCode(...digest));
  const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
  const list = element('ol');
  for (const [step, value] of [
    ['step1', key],
    ['step2', key + GUID],
    ['step3', hex],
    ['step4', accept],
    ['step5', answered],
  ]) {
    const item = element('li', `${text(step)} `);
    item.append(element('code', value, step));
    list.append(item);
  }
  place.replaceChildren(list, element('p', text(accept === answered ? 'same' : 'different'), 'verdict'));
}

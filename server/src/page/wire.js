// The details below the lanes: the bytes of a chunk with overhead and events marked, the bits of a frame's header, and the computation of
// the WebSocket handshake step by step.

import { frame, parts } from './bytes.js';
import { sha1 } from './sha1.js';
import { text } from './text.js';
import { TRANSPORTS } from './transports.js';

// The constant that every WebSocket handshake uses (RFC 6455, section 1.3).
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

function element(tag, content, name) {
  const made = document.createElement(tag);
  if (name) made.className = name;
  if (content !== undefined) made.textContent = content;
  return made;
}

// Shows a chunk of a lane in `container`.
export function showChunk(container, lane, chunk) {
  const heading = element('p', undefined, 'about');
  heading.append(
    element('strong', `${text(lane.name)}, ${text(chunk.up ? 'fromPage' : 'fromServer')}: ${chunk.size} ${text('bytes')}`),
    element('span', ` ${chunk.size - chunk.eventBytes} ${text('overhead')}, ${chunk.eventBytes} ${text('ofEvent')}`),
  );
  const bytes = element('pre', undefined, 'bytes');
  for (const part of parts(chunk)) bytes.append(element('span', part.text, part.kind));
  if (chunk.data.length < chunk.size) bytes.append(element('span', ` + ${chunk.size - chunk.data.length} B`, 'rest'));
  container.replaceChildren(heading, bytes);
  // A chunk that starts within an event continues a frame, and has no header at its start.
  const decoded = usesFrames(lane) && chunk.events[0]?.[0] !== 0 ? frame(chunk.data) : null;
  if (decoded) container.append(bits(decoded));
}

function usesFrames(lane) {
  return TRANSPORTS.find(({ name }) => name === lane.name).envelope === 'websocket';
}

function bits(decoded) {
  const box = element('div', undefined, 'frame');
  box.append(element('h3', text('frame')));
  const row = element('div', undefined, 'bits');
  for (const [name, value, meaning] of decoded.fields) {
    const field = element('div');
    field.append(element('code', value), element('span', name), element('span', meaning, 'meaning'));
    row.append(field);
  }
  const payload = element('p', `${text('payloadText')}: `);
  payload.append(element('code', decoded.text));
  box.append(row, payload);
  return box;
}

// Shows in `container` how Sec-WebSocket-Accept is computed, from the headers of a handshake's request and response.
export function showHandshake(container, { request, response }) {
  const key = /^sec-websocket-key: *(\S+)/im.exec(request)?.[1];
  const sent = /^sec-websocket-accept: *(\S+)/im.exec(response)?.[1];
  if (!key || !sent) return;
  const digest = sha1(new TextEncoder().encode(key + GUID));
  const accept = btoa(String.fromCharCode(...digest));
  const hex = Array.from(digest, (byte) => byte.toString(16).padStart(2, '0')).join(' ');
  const list = element('ol');
  for (const [step, value] of [
    ['step1', key],
    ['step2', key + GUID],
    ['step3', hex],
    ['step4', accept],
    ['step5', sent],
  ]) {
    const item = element('li', `${text(step)} `);
    item.append(element('code', value, step));
    list.append(item);
  }
  container.replaceChildren(list, element('p', text(accept === sent ? 'same' : 'different'), 'verdict'));
}

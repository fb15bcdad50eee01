// Explains the bytes of a chunk: which are an event's and which are overhead (headers, chunk sizes, SSE fields, frame headers), and what
// the fields of a WebSocket frame are.

const latin = (bytes) => Array.from(bytes, (byte) => String.fromCharCode(byte)).join('');

// Splits the bytes that are shown of a chunk into parts, in order and without gaps: { kind, text }, where `kind` is 'overhead' or 'event'
// and line ends are made visible. `events` are the events' offsets and lengths; the server determines them, since it has all of the bytes.
export function parts({ data, events }) {
  const found = [];
  let from = 0;
  const overhead = (to) => {
    if (to > from) found.push({ kind: 'overhead', text: visible(data.subarray(from, to)) });
  };
  for (const [at, length] of events) {
    overhead(at);
    from = at + length;
    found.push({ kind: 'event', text: new TextDecoder().decode(data.subarray(at, from)) });
  }
  overhead(data.length);
  return found;
}

// Bytes as text, with CR and LF as symbols and other unprintable bytes in hex.
function visible(bytes) {
  return Array.from(bytes, (byte) => {
    if (byte === 13) return '\u240d';
    if (byte === 10) return '\u240a\n';
    return byte >= 32 && byte < 127 ? String.fromCharCode(byte) : `\\x${byte.toString(16).padStart(2, '0')}`;
  }).join('');
}

const OPCODES = { 0: 'continuation', 1: 'text', 2: 'binary', 8: 'close', 9: 'ping', 10: 'pong' };

// Decodes the WebSocket frame at the start of the bytes (RFC 6455, section 5.2): the fields of its header with their bits, the header's and
// the payload's length, and the payload as text. Returns null if there are fewer than two bytes, or they start with HTTP.
export function frame(bytes) {
  if (bytes.length < 2 || /^(GET |HTTP)/.test(latin(bytes.subarray(0, 4)))) return null;
  const bits = (value, count) => value.toString(2).padStart(count, '0');
  const short = bytes[1] & 127;
  const extended = short === 126 ? 2 : short === 127 ? 8 : 0;
  const masked = bytes[1] >> 7;
  let length = short;
  if (extended) length = bytes.subarray(2, 2 + extended).reduce((sum, byte) => sum * 256 + byte, 0);
  const fields = [
    ['FIN', bits(bytes[0] >> 7, 1), bytes[0] >> 7 ? 'last' : 'more'],
    ['RSV1-3', bits((bytes[0] >> 4) & 7, 3), ''],
    ['opcode', bits(bytes[0] & 15, 4), OPCODES[bytes[0] & 15] ?? '?'],
    ['MASK', bits(masked, 1), masked ? 'yes' : 'no'],
    ['length', bits(short, 7), extended ? `+${extended} B` : String(length)],
  ];
  const more = Array.from(bytes.subarray(2, 2 + extended), (byte) => bits(byte, 8)).join(' ');
  if (extended) fields.push(['extended length', more, String(length)]);
  const key = bytes.subarray(2 + extended, 6 + extended);
  if (masked) fields.push(['mask', Array.from(key, (byte) => byte.toString(16).padStart(2, '0')).join(' '), '']);
  const header = 2 + extended + (masked ? 4 : 0);
  const payload = bytes.subarray(header, header + length);
  const text = new TextDecoder().decode(masked ? payload.map((byte, index) => byte ^ key[index % 4]) : payload);
  return { fields, header, length, text };
}

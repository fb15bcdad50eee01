// SHA-1 (FIPS 180-4). Browsers offer theirs to pages from HTTPS or this machine only, and in a lecture hall the page comes over plain HTTP.
// It is used to show how Sec-WebSocket-Accept is computed; nothing is protected by it.

const rotate = (word, count) => ((word << count) | (word >>> (32 - count))) >>> 0;

export function sha1(bytes) {
  const length = bytes.length;
  const blocks = new Uint8Array(Math.ceil((length + 9) / 64) * 64);
  blocks.set(bytes);
  blocks[length] = 0x80;
  new DataView(blocks.buffer).setUint32(blocks.length - 4, length * 8);
  let hash = [0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0];
  for (let block = 0; block < blocks.length; block += 64) {
    const view = new DataView(blocks.buffer, block, 64);
    const words = Array.from({ length: 16 }, (_, index) => view.getUint32(index * 4));
    for (let index = 16; index < 80; index += 1) {
      words.push(rotate(words[index - 3] ^ words[index - 8] ^ words[index - 14] ^ words[index - 16], 1));
    }
    let [a, b, c, d, e] = hash;
    words.forEach((word, index) => {
      const [mix, constant] = [
        [(b & c) | (~b & d), 0x5a827999],
        [b ^ c ^ d, 0x6ed9eba1],
        [(b & c) | (b & d) | (c & d), 0x8f1bbcdc],
        [b ^ c ^ d, 0xca62c1d6],
      ][Math.floor(index / 20)];
      const next = (rotate(a, 5) + mix + e + constant + word) >>> 0;
      [a, b, c, d, e] = [next, a, rotate(b, 30), c, d];
    });
    hash = hash.map((word, index) => (word + [a, b, c, d, e][index]) >>> 0);
  }
  const digest = new DataView(new ArrayBuffer(20));
  hash.forEach((word, index) => digest.setUint32(index * 4, word));
  return new Uint8Array(digest.buffer);
}

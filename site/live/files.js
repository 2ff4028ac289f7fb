// Files that the notebooks read: pictures in a zip, and a head as safetensors.
const CRC = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let bit = 0; bit < 8; bit++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});
const crc = (bytes) => ~bytes.reduce((sum, byte) => CRC[(sum ^ byte) & 255] ^ (sum >>> 8), -1) >>> 0;

// Little-endian numbers of 2 or 4 bytes, as [value, bytes] one after the other.
function fields(...all) {
  const view = new DataView(new ArrayBuffer(all.reduce((sum, [, bytes]) => sum + bytes, 0)));
  all.reduce((at, [value, bytes]) => (view[`setUint${8 * bytes}`](at, value, true), at + bytes), 0);
  return view.buffer;
}

// A zip of [name, bytes], nothing compressed: pictures are compressed already.
export function zipped(files, now = new Date()) {
  const day = ((now.getFullYear() - 1980) << 9) | ((now.getMonth() + 1) << 5) | now.getDate();
  const time = (now.getHours() << 11) | (now.getMinutes() << 5) | (now.getSeconds() >> 1);
  const parts = [], list = [];
  let at = 0, listed = 0;
  for (const [name, bytes] of files) {
    const text = new TextEncoder().encode(name), size = bytes.length;
    // Version 2.0, names in UTF-8, stored; then of when, what and how long.
    const about = [[20, 2], [0x800, 2], [0, 2], [time, 2], [day, 2], [crc(bytes), 4], [size, 4], [size, 4], [text.length, 2], [0, 2]];
    parts.push(fields([0x04034b50, 4], ...about), text, bytes);
    list.push(fields([0x02014b50, 4], [20, 2], ...about, [0, 2], [0, 2], [0, 2], [0, 4], [at, 4]), text);
    [at, listed] = [at + 30 + text.length + size, listed + 46 + text.length];
  }
  const count = [files.length, 2];
  return new Blob([...parts, ...list, fields([0x06054b50, 4], [0, 2], [0, 2], count, count, [listed, 4], [at, 4], [0, 2])]);
}

// A head as tl.load reads it: rows of weights, the last of each its bias, and which backbone and classes they belong to. A
// checksum goes with it, so that a damaged file is not taken for another head.
export function safetensors(head, about) {
  const many = head[0].length - 1, weight = head.flatMap((row) => [...row.slice(0, many)]), bias = head.map((row) => row[many]);
  const cut = 4 * weight.length, F32 = (shape, from, to) => ({ dtype: "F32", shape, data_offsets: [from, to] });
  const numbers = new Float32Array([...weight, ...bias]), crc32 = crc(new Uint8Array(numbers.buffer));
  const header = JSON.stringify({
    __metadata__: { format: "pt", tl_helpers: JSON.stringify({ ...about, crc32 }) },
    weight: F32([head.length, many], 0, cut),
    bias: F32([head.length], cut, cut + 4 * bias.length),
  });
  const bytes = new TextEncoder().encode(header), space = " ".repeat(-bytes.length & 7);
  return new Blob([fields([bytes.length + space.length, 4], [0, 4]), bytes, space, numbers]);
}

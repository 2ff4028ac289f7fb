// A photograph as a network is fed, number for number as tl_helpers.images.prepare makes it of a file.
import { BICUBIC, rounded, weightsOf } from "./digits.js";

// The numbers of a picture in a file, 8 bits each: red, green, blue, alpha of each pixel. Colours stay as they stand in the file,
// as with PIL: a profile would have the browser change them.
export async function opened(file) {
  const image = await createImageBitmap(new Blob([file]), { colorSpaceConversion: "none" });
  const { width, height } = image, canvas = new OffscreenCanvas(width, height);
  const pen = canvas.getContext("2d", { willReadFrequently: true });
  pen.drawImage(image, 0, 0);
  image.close();
  return pen.getImageData(0, 0, width, height);
}

// The shares in 22 binary places, and after each direction 8 bits again: PIL's way with pictures (see its Resample.c).
const PLACES = 2 ** 22;
const byte = (sum) => Math.min(Math.max((sum + PLACES / 2) >> 22, 0), 255);
const waysOf = (from, to, first, count) => weightsOf(BICUBIC, from, to).slice(first, first + count)
  .map(({ first: start, shares }) => ({ start, shares: Int32Array.from(shares, (x) => x * PLACES + (x < 0 ? -0.5 : 0.5)) }));

// The shorter side is made the network's divided by crop_pct, and of that the middle is taken, normalised: colour by colour.
export function prepared({ data, width, height }, { size: [, side], mean, std, crop_pct: part }) {
  const short = Math.floor(side / part), longer = (long, other) => Math.floor((short * long) / other);
  const [wide, high] = width <= height ? [short, longer(height, width)] : [longer(width, height), short];
  const across = waysOf(width, wide, rounded((wide - side) / 2), side);
  const down = waysOf(height, high, rounded((high - side) / 2), side);
  const top = down[0].start, bottom = Math.max(...down.map(({ start, shares }) => start + shares.length));
  const rows = new Uint8Array((bottom - top) * side * 3), area = side * side, pixels = new Float32Array(3 * area);
  const [red, green, blue] = [0, 1, 2].map((of) => Float32Array.from({ length: 256 }, (_, i) => (i / 255 - mean[of]) / std[of]));
  for (let y = top, to = 0; y < bottom; y++) {
    for (let x = 0; x < side; x++, to += 3) {
      const { start, shares } = across[x];
      let r = 0, g = 0, b = 0;
      for (let j = 0, at = 4 * (y * width + start); j < shares.length; j++, at += 4) {
        const share = shares[j];
        r += data[at] * share;
        g += data[at + 1] * share;
        b += data[at + 2] * share;
      }
      rows[to] = byte(r);
      rows[to + 1] = byte(g);
      rows[to + 2] = byte(b);
    }
  }
  for (let y = 0, to = 0; y < side; y++) {
    const { start, shares } = down[y];
    for (let x = 0; x < side; x++, to++) {
      let r = 0, g = 0, b = 0;
      for (let j = 0, at = 3 * ((start - top) * side + x); j < shares.length; j++, at += 3 * side) {
        const share = shares[j];
        r += rows[at] * share;
        g += rows[at + 1] * share;
        b += rows[at + 2] * share;
      }
      pixels[to] = red[byte(r)];
      pixels[area + to] = green[byte(g)];
      pixels[2 * area + to] = blue[byte(b)];
    }
  }
  return pixels;
}

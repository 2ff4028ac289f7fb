// A drawing as the networks see it, number for number as tl_helpers makes it: drawn, as_digit and prepare.

// What PIL makes of an image in floats (see Resample.c): rows first, then columns.
const BOX = { support: 0.5, of: (x) => (x > -0.5 && x <= 0.5 ? 1 : 0) };
export const BICUBIC = {
  support: 2,
  of: (x) => ((x = Math.abs(x)), x < 1 ? (1.5 * x - 2.5) * x * x + 1 : x < 2 ? (((x - 5) * x + 8) * x - 4) * -0.5 : 0),
};
export function weightsOf(filter, from, to) {
  const scale = from / to, stretch = Math.max(scale, 1), support = filter.support * stretch;
  return Array.from({ length: to }, (_, i) => {
    const middle = (i + 0.5) * scale;
    const first = Math.max(Math.trunc(middle - support + 0.5), 0), last = Math.min(Math.trunc(middle + support + 0.5), from);
    const shares = Array.from({ length: last - first }, (_, j) => filter.of((j + first - middle + 0.5) / stretch));
    const sum = shares.reduce((a, b) => a + b, 0);
    return { first, shares: shares.map((share) => share / sum) };
  });
}
export function resized(image, width, height, toWidth, toHeight, filter) {
  const across = weightsOf(filter, width, toWidth), down = weightsOf(filter, height, toHeight);
  const wide = new Float32Array(height * toWidth), out = new Float32Array(toHeight * toWidth);
  for (let y = 0; y < height; y++) {
    across.forEach(({ first, shares }, x) => {
      let sum = 0;
      shares.forEach((share, j) => (sum += image[y * width + first + j] * share));
      wide[y * toWidth + x] = sum;
    });
  }
  down.forEach(({ first, shares }, y) => {
    for (let x = 0; x < toWidth; x++) {
      let sum = 0;
      shares.forEach((share, j) => (sum += wide[(first + j) * toWidth + x] * share));
      out[y * toWidth + x] = sum;
    }
  });
  return out;
}

export const rounded = (x) => (Math.abs(x % 1) === 0.5 ? 2 * Math.round(x / 2) : Math.round(x)); // as Python, halves to even

// Strokes (x, y, x, y, ...) as ink, enlarged to fill the frame: 1 where there is ink.
export function drawn(strokes, { side, pens }) {
  const ink = new Float32Array(side * side), pen = side / pens, reach = pen / 2;
  const xs = strokes.flatMap((line) => line.filter((_, i) => i % 2 === 0)), ys = strokes.flatMap((line) => line.filter((_, i) => i % 2));
  const [left, right, top, bottom] = [Math.min(...xs), Math.max(...xs), Math.min(...ys), Math.max(...ys)];
  const scale = (side - pen) / Math.max(right - left, bottom - top, side / 10);
  const place = (line, i) => [
    (line[i] - (left + right) / 2) * scale + side / 2,
    (line[i + 1] - (top + bottom) / 2) * scale + side / 2,
  ];
  for (const line of strokes) {
    for (let i = 0; i < line.length; i += 2) {
      const [x0, y0] = place(line, i), [x1, y1] = place(line, Math.min(i + 2, line.length - 2));
      const dx = x1 - x0, dy = y1 - y0, length = dx * dx + dy * dy;
      const low = (a, b) => Math.max(Math.floor(Math.min(a, b) - reach), 0);
      const high = (a, b) => Math.min(Math.floor(Math.max(a, b) + reach) + 1, side);
      for (let y = low(y0, y1); y < high(y0, y1); y++) {
        for (let x = low(x0, x1); x < high(x0, x1); x++) {
          const along = Math.min(Math.max(((x - x0) * dx + (y - y0) * dy) / (length || 1), 0), 1);
          const offX = x - (x0 + along * dx), offY = y - (y0 + along * dy);
          if (offX * offX + offY * offY <= reach * reach) ink[y * side + x] = 1;
        }
      }
    }
  }
  return ink;
}

// Ink as a picture like those of tl.digits: 28 x 28 whole numbers from 0 to 255.
export function asDigit(ink, side) {
  let [left, right, top, bottom] = [side, -1, side, -1];
  ink.forEach((value, i) => {
    if (!value) return;
    const x = i % side, y = Math.floor(i / side);
    [left, right, top, bottom] = [Math.min(left, x), Math.max(right, x), Math.min(top, y), Math.max(bottom, y)];
  });
  const width = right - left + 1, height = bottom - top + 1, scale = 32 / Math.max(width, height);
  const cut = Float32Array.from({ length: width * height }, (_, i) => ink[(top + Math.floor(i / width)) * side + left + (i % width)]);
  const [w, h] = [width, height].map((of) => Math.max(1, rounded(of * scale)));
  const small = resized(cut, width, height, w, h, BOX), coarse = new Float64Array(64);
  const atX = Math.floor((32 - w) / 2), atY = Math.floor((32 - h) / 2);
  small.forEach((value, i) => {
    coarse[8 * ((atY + Math.floor(i / w)) >> 2) + ((atX + (i % w)) >> 2)] += value / 16;
  });
  const most = Math.max(...coarse), rows = finer(8, 28), out = new Uint8ClampedArray(28 * 28);
  for (let y = 0; y < 28; y++) {
    for (let x = 0; x < 28; x++) {
      let sum = 0;
      for (const [j, down] of rows[y]) for (const [i, across] of rows[x]) sum += down * across * coarse[8 * j + i];
      out[28 * y + x] = rounded(Math.min(Math.max((sum * 255) / most, 0), 255));
    }
  }
  return out;
}

// Which of `from` places, and how much of each, make each of `to`: torch's bicubic interpolation, without antialiasing.
function finer(from, to) {
  const near = (x) => (1.25 * x - 2.25) * x * x + 1, far = (x) => ((-0.75 * x + 3.75) * x - 6) * x + 3;
  return Array.from({ length: to }, (_, i) => {
    const place = ((i + 0.5) * from) / to - 0.5, first = Math.floor(place), part = place - first;
    const shares = [far(part + 1), near(part), near(1 - part), far(2 - part)];
    return shares.map((share, j) => [Math.min(Math.max(first - 1 + j, 0), from - 1), share]);
  });
}

// A picture as a network is fed: resized, and normalised.
export function prepared(picture, { size: [, height, width], mean: [mean], std: [std] }) {
  let pixels = Float32Array.from(picture, (value) => value / 255);
  if (height !== 28) pixels = resized(pixels, 28, 28, width, height, BICUBIC);
  return pixels.map((value) => (Math.min(Math.max(value, 0), 1) - mean) / std);
}

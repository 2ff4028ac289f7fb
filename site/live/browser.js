// What the page needs of a browser.
const SIMD = [0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11];

export function check() {
  if (!globalThis.DecompressionStream || !Array.prototype.toReversed || !WebAssembly?.validate(new Uint8Array(SIMD))) {
    throw new Error("This browser is too old for it: Chrome 110, Firefox 115 and Safari 16.4, of 2023, are the first that do");
  }
}

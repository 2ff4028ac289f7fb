// What the page loads from its own server: packed files, and networks that onnxruntime-web runs.
import * as ort from "./ort.mjs";

const here = (name) => new URL(name, import.meta.url);

export async function fetched(name) {
  const answer = await fetch(here(name));
  if (!answer.ok) throw new Error(`${name} is missing on the server (${answer.status})`);
  return answer;
}
async function unzipped(name) {
  const stream = (await fetched(name)).body.pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

// Floats of 2 or 4 bytes each, first the highest bytes of all, then the next ones (see packed in live.py).
async function numbers(name, size = 2) {
  const bytes = await unzipped(name), count = bytes.length / size, out = new Float32Array(count);
  if (size === 4) {
    const bits = new Uint32Array(out.buffer);
    for (let i = 0, at = 0; i < 4; i++) for (let j = 0; j < count; j++) bits[j] = (bits[j] << 8) | bytes[at++];
    return out;
  }
  const values = Float32Array.from({ length: 65536 }, (_, bits) => {
    const exponent = (bits >> 10) & 31, rest = bits & 1023;
    const size = exponent ? 2 ** (exponent - 15) * (1 + rest / 1024) : 2 ** -24 * rest;
    return bits >> 15 ? -size : size;
  });
  for (let i = 0; i < count; i++) out[i] = values[(bytes[i] << 8) | bytes[count + i]];
  return out;
}

export async function vectors(name, width, bytes) {
  const all = await numbers(name, bytes);
  return Array.from({ length: all.length / width }, (_, i) => all.subarray(i * width, (i + 1) * width));
}

let runtime, opening = Promise.resolve();
async function start() {
  ort.env.wasm.numThreads = 1;
  ort.env.wasm.wasmBinary = (await unzipped("ort.wasm.gz")).buffer;
}

// A network up to its head, as a function from pixels to a vector. One picture at a time goes through.
export async function network(name, size, bytes) {
  const [graph, weights] = await Promise.all([
    fetched(`${name}.onnx`).then((answer) => answer.arrayBuffer()),
    numbers(`${name}.weights.gz`, bytes),
    (runtime ??= start()),
  ]);
  const externalData = [{ path: "weights", data: new Uint8Array(weights.buffer) }];
  // One after another: the runtime keeps what is external under its path, for whichever session opens next.
  const opened = opening.then(() => ort.InferenceSession.create(new Uint8Array(graph), { externalData }));
  opening = opened.catch(() => {});
  const session = await opened;
  let before = Promise.resolve();
  return (pixels) => {
    const feed = { [session.inputNames[0]]: new ort.Tensor("float32", pixels, [1, ...size]) };
    const found = before.then(() => session.run(feed)).then((out) => out[session.outputNames[0]].data);
    before = found.catch(() => {});
    return found;
  };
}

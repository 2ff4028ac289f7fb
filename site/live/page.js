// The first half of the live page: the pad of tl.widgets.draw, two networks that answer, and heads that learn in the page.
import { check } from "./browser.js";

const $ = (name) => document.getElementById(name);
const NAMES = { letters: "letters network", scratch: "from scratch" };
const kinds = Object.keys(NAMES);
const HOW = "Draw a digit on the black pad. The answer comes when you lift the pen.";
const share = (value) => value.toFixed(2).replace(/^0/, "");
const word = (value) => value.toFixed(3).replace(/^0/, "");

async function start() {
  check();
  const [{ Model }, { fetched, network, vectors }, digits, { fitted, interval, probabilities }, { default: pad }] =
    await Promise.all(["model", "network", "digits", "heads", "pad"].map((name) => import(`./${name}.js`)));
  const known = await (await fetched("constants.json")).json();
  const { classes, inputs, shots, labels } = known, most = shots.at(-1), model = new Model({ value: [], words: HOW });
  const networks = {}; // by name: how it makes vectors, those of its examples, and its head
  let many = most, kept = [], seen = null;

  // What was loaded is kept, so that the page goes on without a network.
  const loaded = new Map();
  function once(name, make) {
    const forget = (error) => {
      loaded.delete(name);
      throw error;
    };
    if (!loaded.has(name)) loaded.set(name, make().catch(forget));
    return loaded.get(name);
  }
  const nameOf = (kind, count) => (kind === "letters" ? kind : `scratch-${count}`);
  const body = (name, kind) => once(name, () => network(name, inputs[kind].size));
  const part = (name, kind) => once(name, () => vectors(`${name}.gz`, known.widths[kind]));
  async function opened(kind, count) {
    const name = nameOf(kind, count);
    const [run, all] = await Promise.all([body(name, kind), part(`${name}.train`, kind)]);
    const each = all.length / classes.length;
    return { body: run, examples: all.filter((_, i) => i % each < count) };
  }

  async function learn() {
    for (const kind of kinds) {
      const { body, examples } = networks[kind];
      const drawings = await Promise.all(kept.map(({ picture }) => body(digits.prepared(picture, inputs[kind]))));
      const targets = classes.flatMap((_, digit) => Array(many).fill(digit));
      targets.push(...kept.map(({ label }) => label));
      networks[kind].head = fitted([...examples, ...drawings], targets, classes.length);
    }
  }
  async function answer() {
    const strokes = model.get("value");
    if (!strokes.length) {
      seen = null;
      return show();
    }
    seen = digits.asDigit(digits.drawn(strokes, known), known.side);
    const picture = seen, found = {};
    for (const kind of kinds) {
      const vector = await networks[kind].body(digits.prepared(picture, inputs[kind]));
      found[kind] = probabilities(networks[kind].head, vector);
    }
    if (picture === seen) show(found);
  }
  function show(found) {
    const image = new ImageData(28, 28);
    image.data.forEach((_, i) => (image.data[i] = i % 4 === 3 ? 255 : (seen?.[i >> 2] ?? 0)));
    $("seen").getContext("2d").putImageData(image, 0, 0);
    const said = [];
    for (const kind of kinds) {
      const shares = found?.[kind], first = shares ? shares.indexOf(Math.max(...shares)) : -1;
      $(kind).querySelectorAll(".bar").forEach((bar, i) => {
        bar.querySelector(".fill").style.width = `${100 * (shares?.[i] ?? 0)}%`;
        bar.lastChild.textContent = shares ? share(shares[i]) : "";
        bar.classList.toggle("most", i === first);
      });
      if (shares) said.push(`${NAMES[kind]}: ${classes[first]} with ${share(shares[first])}`);
    }
    model.set("words", said.length ? `${said.join("; ")}.` : HOW);
  }
  async function examine() {
    const rows = await Promise.all(kinds.map(async (kind) => {
      const test = await part(`${nameOf(kind, many)}.test`, kind);
      const shares = test.map((vector) => probabilities(networks[kind].head, vector));
      const named = shares.map((all) => all.indexOf(Math.max(...all)));
      const right = named.filter((name, i) => name === labels[i]).length / labels.length;
      return [NAMES[kind], word(right), interval(right, labels.length, known.z).map(word).join(" to ")];
    }));
    $("accuracies").replaceChildren(...rows.map((row) => {
      const line = document.createElement("tr");
      row.forEach((textContent, i) => line.append(Object.assign(document.createElement(i ? "td" : "th"), { textContent })));
      line.firstChild.scope = "row";
      return line;
    }));
  }

  for (const [kind, name] of Object.entries(NAMES)) {
    const title = Object.assign(document.createElement("h3"), { textContent: name });
    $(kind).append(title, ...classes.map((digit) => {
      const bar = Object.assign(document.createElement("div"), { className: "bar" });
      bar.innerHTML = `<span>${digit}</span><div class="track"><div class="fill"></div></div><span></span>`;
      return bar;
    }));
  }
  $("label").append(...classes.map((name) => new Option(name)));
  Object.assign($("shots"), { min: 0, max: shots.length - 1, value: shots.length - 1 });
  await Promise.all(kinds.map(async (kind) => (networks[kind] = await opened(kind, many))));
  await learn();

  // One thing after another; what goes wrong is said.
  let before = Promise.resolve();
  const inTurn = (act) => (before = before.then(act).catch((error) => {
    $("kept").textContent = `This did not work: ${error.message}. Is there still a connection to the page's server?`;
    $("shots").value = shots.indexOf(many);
    told();
  }));
  const told = () => {
    $("many").textContent = shots[$("shots").value];
    $("shots").setAttribute("aria-valuetext", `${shots[$("shots").value]} of each digit`);
  };
  $("keep").onclick = () => inTurn(async () => {
    if (!seen) return ($("kept").textContent = "Draw a digit first.");
    kept.push({ picture: seen, label: $("label").selectedIndex });
    const from = performance.now();
    await learn();
    const seconds = ((performance.now() - from) / 1000).toFixed(1);
    await answer();
    $("kept").textContent = `Kept as a ${$("label").value}: ${many * classes.length + kept.length} examples, learned in ${seconds} s. `
      + `Now they say: ${model.get("words")}`;
    await examine();
  });
  $("forget").onclick = () => inTurn(async () => {
    kept = [];
    await learn();
    await answer();
    $("kept").textContent = `They know the ${many * classes.length} examples again, and nothing else.`;
    await examine();
  });
  $("shots").oninput = told;
  $("shots").onchange = () => inTurn(async () => {
    const count = shots[$("shots").value];
    const found = await Promise.all(kinds.map((kind) => opened(kind, count)));
    kinds.forEach((kind, i) => (networks[kind] = found[i]));
    many = count;
    await learn();
    await answer();
    await examine();
  });
  told();
  model.on("change:value", () => inTurn(answer));
  pad.render({ model, el: $("pad") });
  $("loading").hidden = true;
  $("draw").hidden = $("learn").hidden = false;
  inTurn(examine).then(async () => {
    for (const name of shots.map((count) => nameOf("scratch", count))) {
      await Promise.all([body(name, "scratch"), part(`${name}.train`, "scratch"), part(`${name}.test`, "scratch")]);
    }
  }).catch(() => {}); // asked for again when it is needed
  globalThis.live = Object.assign(globalThis.live ?? {}, { ask: async (strokes) => {
    const picture = digits.asDigit(digits.drawn(strokes, known), known.side), found = { picture: [...picture] };
    for (const kind of kinds) {
      const pixels = digits.prepared(picture, inputs[kind]), vector = [...(await networks[kind].body(pixels))];
      found[kind] = { pixels: [...pixels], vector, shares: probabilities(networks[kind].head, vector) };
    }
    return found;
  } }); // for the tests, and the curious
}

start().catch((error) => ($("loading").textContent = `The page cannot start. ${error.message}.`));

// The question of guessing.py and its one answer: a slider, a choice, a list to sort or a curve of points to drag.
// `value` is null until somebody guesses; each change is one message. Once the result is there too, `beside` comes back: the
// words that show both, and the guess that they are about, since the answer to a guess comes a moment after it.
const WIDE = 420, HIGH = 190, LEFT = 40, BOTTOM = 24, TOP = 10;
let count = 0;

function render({ model, el }) {
  const name = `tl-guess-${++count}`, kind = model.get("kind"), options = model.get("options");
  const [low, high, step] = ["low", "high", "step"].map((key) => model.get(key));
  const places = Math.min(6, (String(Number(step.toPrecision(10))).split(".")[1] ?? "").length);
  const middle = low + Math.round((high - low) / 2 / step) * step;
  const make = (tag, attributes = {}, text = "") => Object.assign(document.createElement(tag), { textContent: text }, attributes);
  const box = make("fieldset", { className: "tl-guess", style: "border:1px solid #767676; border-radius:4px; padding:6px 12px 8px; max-width:560px;" +
    "color:var(--jp-ui-font-color1, inherit); font-size:14px; line-height:1.5" });
  const legend = make("legend", { style: "padding:0 4px; font-weight:600" }, "Your guess");
  const question = make("div", { style: "margin-bottom:6px" }, model.get("question"));
  const body = make("div"), said = make("div", { style: "min-height:1.5em; margin-top:4px" });
  said.setAttribute("role", "status");
  box.dataset.lmSuppressShortcuts = "true";
  box.append(legend, question, body, said);
  el.replaceChildren(box);

  const send = (value) => (model.set("value", value), model.save_changes(), show());
  function byKey(event, move) {  // JupyterLab would take the arrow keys of a slider for its own
    const by = { ArrowUp: 1, ArrowRight: 1, ArrowDown: -1, ArrowLeft: -1, PageUp: 10, PageDown: -10 }[event.key];
    if (!by) return;
    event.preventDefault();
    event.stopPropagation();
    move(by);
  }
  const button = (text, press, label = text) => {
    const made = make("button", { type: "button", className: "jupyter-button widget-button",
      style: "width:auto; margin:0 4px", onclick: press }, text);
    made.setAttribute("aria-label", label);
    return made;
  };
  const forms = { number, choices, order, curve };
  const answer = forms[kind]();
  const compare = button("Show what was measured", () => (said.textContent = model.get("beside").words));
  box.append(compare);
  function show() {
    answer();
    const { guess, words } = model.get("beside");
    compare.style.display = words && JSON.stringify(guess) === JSON.stringify(model.get("value")) ? "" : "none";
  }

  function number() {
    const slider = make("input", { type: "range", min: low, max: high, step, style: "width:60%; vertical-align:middle" });
    slider.setAttribute("aria-label", model.get("question"));
    const now = make("span", { style: "margin:0 8px; font-variant-numeric:tabular-nums" });
    slider.value = model.get("value") ?? middle;
    slider.oninput = () => (now.textContent = Number(slider.value).toFixed(places));
    slider.onchange = () => send(Number(slider.value));
    slider.onkeydown = (event) => byKey(event, (by) => {
      by > 0 ? slider.stepUp(by) : slider.stepDown(-by);
      slider.onchange();
    });
    body.append(slider, now, button("That is my guess", () => send(Number(slider.value))));
    return () => {
      slider.value = model.get("value") ?? slider.value;
      slider.oninput();
      const value = model.get("value");
      said.textContent = value === null ? "Move the slider, with the mouse or the arrow keys." : `You guess ${value.toFixed(places)}.`;
    };
  }

  function choices() {
    const radios = options.map((option) => {
      const radio = make("input", { type: "radio", name, value: option, onchange: () => send(option) });
      radio.onkeydown = (event) => byKey(event, () => {
        const next = radios[(radios.indexOf(radio) + ("ArrowDown ArrowRight".includes(event.key) ? 1 : radios.length - 1)) % radios.length];
        next.focus();
        send(next.value);
      });
      const label = make("label", { style: "display:block; cursor:pointer" });
      label.append(radio, ` ${option}`);
      body.append(label);
      return radio;
    });
    return () => {
      for (const radio of radios) radio.checked = radio.value === model.get("value");
      said.textContent = model.get("value") === null ? "Choose one." : `You guess: ${model.get("value")}.`;
    };
  }

  function order() {
    let names = [...(model.get("value") ?? options)];
    const list = make("ol", { style: "margin:0; padding-left:24px" });
    body.append(list, button("That is my order", () => send([...names])));
    function move(i, by) {
      [names[i], names[i + by]] = [names[i + by], names[i]];
      send([...names]);
      list.children[i + by].querySelectorAll("button")[by < 0 ? 0 : 1].focus();
    }
    return () => {
      names = [...(model.get("value") ?? names)];
      list.replaceChildren(...names.map((option, i) => {
        const item = make("li");
        const up = button("↑", () => move(i, -1), `${option}: up`), down = button("↓", () => move(i, 1), `${option}: down`);
        [up.disabled, down.disabled] = [i === 0, i === names.length - 1];
        item.append(up, down, ` ${option}`);
        return item;
      }));
      said.textContent = model.get("value") === null ? "Sort them with the arrows." : `You guess: ${names.join(", ")}.`;
    };
  }

  function curve() {
    const values = [...(model.get("value") ?? options.map(() => middle))];
    const place = (i) => LEFT + (i + 0.5) * (WIDE - LEFT) / options.length;
    const height = (value) => TOP + (HIGH - TOP - BOTTOM) * (high - value) / (high - low);
    const svg = (tag, attributes, text = "") => {
      const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
      for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
      made.textContent = text;
      return made;
    };
    const picture = svg("svg", { viewBox: `0 0 ${WIDE} ${HIGH}`, style: "width:100%; max-width:480px; touch-action:none" });
    const text = { fill: "currentColor", "font-size": 12, "text-anchor": "middle" };
    for (const value of [low, (low + high) / 2, high]) {
      picture.append(svg("line", { x1: LEFT, x2: WIDE, y1: height(value), y2: height(value), stroke: "currentColor", opacity: 0.25 }));
      picture.append(svg("text", { ...text, x: LEFT - 6, y: height(value) + 4, "text-anchor": "end" }, value.toFixed(places > 1 ? 1 : places)));
    }
    options.forEach((x, i) => picture.append(svg("text", { ...text, x: place(i), y: HIGH - 6 }, String(x))));
    const line = svg("polyline", { fill: "none", stroke: "#56B4E9", "stroke-width": 2.5 });
    const dots = options.map((x, i) => svg("circle", { r: 8, cx: place(i), fill: "#56B4E9", stroke: "currentColor", tabindex: 0,
      role: "slider", "aria-label": `at ${x}`, "aria-valuemin": low, "aria-valuemax": high, style: "cursor:ns-resize" }));
    picture.append(line, ...dots);
    body.append(picture, button("That is my curve", () => send([...values])));
    const kept = (value) => Number(Math.min(high, Math.max(low, Math.round(value / step) * step)).toFixed(places + 2));
    function draw() {
      line.setAttribute("points", values.map((value, i) => `${place(i)},${height(value)}`).join(" "));
      dots.forEach((dot, i) => (dot.setAttribute("cy", height(values[i])), dot.setAttribute("aria-valuenow", values[i])));
    }
    let held = null;  // the point under the finger; a drag across the others moves them as well
    function drag(event) {
      const area = picture.getBoundingClientRect(), scale = WIDE / area.width;
      const [x, y] = [(event.clientX - area.left) * scale, (event.clientY - area.top) * scale];
      held = Math.min(options.length - 1, Math.max(0, Math.floor((x - LEFT) / (WIDE - LEFT) * options.length)));
      values[held] = kept(high - (y - TOP) / (HIGH - TOP - BOTTOM) * (high - low));
      draw();
    }
    picture.onpointerdown = (event) => (picture.setPointerCapture(event.pointerId), drag(event));
    picture.onpointermove = (event) => held === null || drag(event);
    picture.onpointerup = picture.onpointercancel = () => held === null || ((held = null), send([...values]));
    dots.forEach((dot, i) => (dot.onkeydown = (event) => byKey(event, (by) => {
      values[i] = kept(values[i] + by * step);
      send([...values]);
    })));
    return () => {
      (model.get("value") ?? []).forEach((value, i) => (values[i] = value));
      draw();
      said.textContent = model.get("value") === null ? "Drag the points, or move each with the arrow keys."
        : `You guess ${values.map((value, i) => `${value.toFixed(places)} at ${options[i]}`).join(", ")}.`;
    };
  }

  show();
  model.on("change:value change:beside", show);
  return () => model.off("change:value change:beside", show);
}

export default { render };

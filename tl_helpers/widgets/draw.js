// The drawing pad of drawing.py. `value`: a list of strokes, each x, y, x, y, ... in its pixels; `words`: the text below.
// What is being drawn stays in the browser; a finished stroke, an undo or a clear is one message.
const SIDE = 280, PEN = 20, STEP = 14;
const MOVES = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] };
const inside = (v) => Math.round(Math.min(SIDE, Math.max(0, v)));

function render({ model, el }) {
  el.innerHTML = `
    <div data-lm-suppress-shortcuts="true" style="width:${SIDE + 2}px; color:var(--jp-ui-font-color1, inherit)">
      <canvas class="tl-pad" width="${SIDE}" height="${SIDE}" tabindex="0" role="application"
        aria-label="Drawing pad. Arrow keys move the pen, space puts it down and up, u undoes, c clears."
        style="touch-action:none; cursor:crosshair; border:1px solid #767676; outline-offset:-3px; display:block"></canvas>
      <button type="button" class="jupyter-button widget-button" style="width:auto; margin:6px 0">Undo</button>
      <button type="button" class="jupyter-button widget-button" style="width:auto; margin:6px">Clear</button>
      <div role="status" style="min-height:3em"></div>
      <div style="font-size:12px; line-height:1.4">Mouse, finger or pen; or keys: arrows move the pen, space puts it down
        and up, u undoes, c clears.</div>
    </div>`;
  const canvas = el.querySelector("canvas"), status = el.querySelector("[role=status]"), context = canvas.getContext("2d");
  let stroke = null, byKey = false, pen = [SIDE / 2, SIDE / 2];

  function draw() {
    context.fillStyle = "black";
    context.fillRect(0, 0, SIDE, SIDE);
    Object.assign(context, { strokeStyle: "white", lineWidth: PEN, lineCap: "round", lineJoin: "round" });
    for (const points of [...model.get("value"), ...(stroke ? [stroke] : [])]) {
      context.beginPath();
      context.moveTo(points[0], points[1]);
      for (let i = 0; i < points.length; i += 2) context.lineTo(points[i], points[i + 1]);
      context.stroke();
    }
    const focused = document.activeElement === canvas;
    canvas.style.outline = focused ? "3px solid #56B4E9" : "none";
    if (focused && (byKey || !stroke)) {  // where the keys' pen is; a full dot when it is down
      Object.assign(context, { strokeStyle: "#56B4E9", fillStyle: "#56B4E9", lineWidth: 2 });
      context.beginPath();
      context.arc(...pen, PEN / 2, 0, 7);
      context[byKey ? "fill" : "stroke"]();
    }
    status.textContent = byKey ? "The pen is down." : model.get("words");
  }
  function send(strokes) {
    [stroke, byKey] = [null, false];
    model.set("value", strokes);
    model.save_changes();
    draw();
  }
  const finish = () => stroke && send([...model.get("value"), stroke]);
  const undo = () => send(model.get("value").slice(0, -1));
  const clear = () => send([]);
  function place(event) {
    const box = canvas.getBoundingClientRect();
    return [event.clientX - box.left - canvas.clientLeft, event.clientY - box.top - canvas.clientTop].map(inside);
  }
  canvas.addEventListener("pointerdown", (event) => {
    if (event.button) return;
    finish();
    canvas.setPointerCapture(event.pointerId);
    stroke = pen = place(event);
    draw();
  });
  canvas.addEventListener("pointermove", (event) => {
    if (!stroke || byKey) return;
    for (const part of event.getCoalescedEvents?.() ?? [event]) stroke = [...stroke, ...(pen = place(part))];
    draw();
  });
  for (const end of ["pointerup", "pointercancel"]) canvas.addEventListener(end, () => byKey || finish());
  canvas.addEventListener("keydown", (event) => {
    const { key } = event;
    if (event.ctrlKey || event.metaKey || event.altKey || !(key in MOVES || " uc".includes(key))) return;
    event.preventDefault();
    event.stopPropagation();
    if (key in MOVES) {
      pen = pen.map((v, i) => inside(v + MOVES[key][i]));
      if (byKey) stroke = [...stroke, ...pen];
      draw();
    } else if (key === "u") undo();
    else if (key === "c") clear();
    else if (byKey) event.repeat || finish();
    else if (!stroke) {
      [stroke, byKey] = [[...pen], true];
      draw();
    }
  });
  canvas.addEventListener("focus", draw);
  canvas.addEventListener("blur", () => (byKey ? finish() : draw()));
  const [undoButton, clearButton] = el.querySelectorAll("button");
  undoButton.addEventListener("click", undo);
  clearButton.addEventListener("click", clear);
  for (const name of ["value", "words"]) model.on(`change:${name}`, draw);
  draw();
  return () => ["value", "words"].forEach((name) => model.off(`change:${name}`, draw));
}

export default { render };

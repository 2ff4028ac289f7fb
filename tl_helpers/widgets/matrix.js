// The confusion matrix of looking.py: a table of buttons. Tab goes to the matrix, arrow keys move in it, Enter or space choose.
const MOVES = { ArrowLeft: [0, -1], ArrowRight: [0, 1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };

function render({ model, el }) {
  const counts = model.get("counts"), classes = model.get("classes");
  const most = Math.max(1, ...counts.flatMap((row, i) => row.filter((_, j) => i !== j)));
  el.style.cssText += "max-width:100%; overflow-x:auto";
  el.innerHTML = `<div data-lm-suppress-shortcuts="true" style="color:var(--jp-ui-font-color1, inherit)">
    <table style="border-collapse:collapse; font-size:12px; text-align:center">
      <caption style="text-align:left">rows: what it is; columns: what the network says</caption><thead><tr><td></td></tr></thead><tbody></tbody></table>
    <button type="button" class="jupyter-button widget-button" style="width:auto; margin:6px 0">All mistakes</button></div>`;
  const [all, head, body] = ["button", "thead tr", "tbody"].map((name) => el.querySelector(name)), cells = [];
  const header = (scope, text) => {
    const th = document.createElement("th");
    [th.scope, th.textContent, th.style.padding] = [scope, text, "0 4px"];
    return th;
  };
  classes.forEach((name) => head.append(header("col", name)));
  counts.forEach((row, i) => {
    const tr = body.insertRow();
    tr.append(header("row", classes[i]));
    cells.push(row.map((count, j) => {
      const button = document.createElement("button"), share = i === j ? 0 : 0.9 * Math.sqrt(count / most);
      button.type = "button";
      button.textContent = count || "·";
      button.setAttribute("aria-label", `${classes[i]} named ${classes[j]}: ${count} pictures`);
      const red = [255 - 255 * share, 255 - 141 * share, 255 - 77 * share];  // white to near the figures' blue: black is read on all
      button.style.cssText = `width:32px; height:26px; border:1px solid #767676; cursor:pointer; padding:0; font-size:12px;
        background:${i === j ? "#d9d9d9" : `rgb(${red.join()})`}; color:black`;
      button.onclick = () => choose([i, j]);
      button.onkeydown = (event) => {
        if (!(event.key in MOVES)) return;
        event.preventDefault();
        event.stopPropagation();
        const [down, right] = MOVES[event.key];
        focus(Math.min(Math.max(i + down, 0), counts.length - 1), Math.min(Math.max(j + right, 0), counts.length - 1));
      };
      tr.insertCell().append(button);
      return button;
    }));
  });
  function focus(i, j) {
    cells.flat().forEach((button) => (button.tabIndex = -1));
    cells[i][j].tabIndex = 0;
    cells[i][j].focus();
  }
  function choose(cell) {
    model.set("value", cell);
    model.save_changes();
  }
  function mark() {
    const [row, column] = model.get("value");
    cells.forEach((line, i) => line.forEach((button, j) => {
      const chosen = i === row && j === column;
      button.setAttribute("aria-pressed", chosen);
      button.style.outline = chosen ? "3px solid #D55E00" : "";
      button.tabIndex = chosen || (row === undefined && !i && !j) ? 0 : -1;
    }));
    all.setAttribute("aria-pressed", row === undefined);
  }
  all.onclick = () => choose([]);
  model.on("change:value", mark);
  mark();
  return () => model.off("change:value", mark);
}

export default { render };

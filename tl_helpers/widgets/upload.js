// The file picker of uploading.py. A file too large for the way to the kernel (10 MB) is made smaller here.
const MOST = 8e6, SIDE = 2000;

async function smaller(file) {
  const bitmap = await createImageBitmap(file, { imageOrientation: "from-image" });
  const scale = Math.min(1, SIDE / Math.max(bitmap.width, bitmap.height));
  const canvas = new OffscreenCanvas(Math.max(1, bitmap.width * scale), Math.max(1, bitmap.height * scale));
  canvas.getContext("2d").drawImage(bitmap, 0, 0, canvas.width, canvas.height);
  bitmap.close();
  return canvas.convertToBlob({ type: "image/jpeg", quality: 0.95 });
}

function render({ model, el }) {
  el.innerHTML = `<div style="color:var(--jp-ui-font-color1, inherit)">
    <label>Your picture: <input type="file" accept="image/*"></label> or drop a file here
    <div role="status"></div></div>`;
  const box = el.firstChild, input = el.querySelector("input"), status = el.querySelector("[role=status]");
  async function take(file) {
    if (!file) return;
    status.textContent = `Reading ${file.name} ...`;
    try {
      const sent = file.size > MOST ? await smaller(file) : file;
      model.set("value", new DataView(await sent.arrayBuffer()));
      model.save_changes();
      status.textContent = file.name;
    } catch {
      status.textContent = `${file.name} cannot be read as a picture, and is too large to be looked at further.`;
    }
  }
  input.onchange = () => take(input.files[0]);
  box.ondragover = (event) => event.preventDefault();
  box.ondrop = (event) => {
    event.preventDefault();
    take(event.dataTransfer.files[0]);
  };
}

export default { render };

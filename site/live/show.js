// The second half of the live page: the camera of tl.widgets.camera, without a kernel.
import { check } from "./browser.js";

const $ = (name) => document.getElementById(name);
const OPEN = "Open the camera part", CLOSE = "Close the camera part";
const PLACE = {
  files: "Pictures can be chosen from files too, below.",
  insecure: ".",
  busy: "The network is slow on this device: the answer will come.",
};
let loading = null, close = null;

// The network, what it makes of something else, and the view: loaded once, kept, and usable without a network then.
async function load() {
  check();
  const [{ fetched, network, vectors }, { opened, prepared }, { Taught }, { default: view }, files] = await Promise.all(
    ["network", "photographs", "taught", "camera", "files"].map((name) => import(`./${name}.js`)),
  );
  const { show, z } = await (await fetched("constants.json")).json(), { input } = show;
  const [body, others] = await Promise.all([
    network("photographs", input.size, input.bytes),
    vectors("elsewhere.gz", show.width, 4),
  ]);
  const look = async (file) => {
    const pixels = prepared(await opened(file), input);
    return { pixels, vector: await body(pixels) };
  };
  const camera = new Taught({ see: async (file) => (await look(file)).vector, others, z, place: PLACE, ...show });
  globalThis.live = Object.assign(globalThis.live ?? {}, { look, camera }); // for the tests, and the curious
  return { view, camera, files, name: show.name };
}

function give(name, blob) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(blob), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
// A button that makes a file; what goes wrong is said.
function giving(button, name, make) {
  button.onclick = async () => {
    $("given").textContent = "One moment …";
    try {
      const [blob, words] = await make();
      give(name, blob);
      $("given").textContent = words;
    } catch (error) {
      $("given").textContent = error.message;
    }
  };
}

$("open").onclick = async () => {
  if (close) {
    close = close(); // the camera's light goes out
  } else {
    $("open").disabled = true;
    $("opened").textContent = "Loading the network …";
    try {
      const { view, camera, files, name } = await (loading ??= load());
      giving($("zip"), "pictures.zip", async () => {
        const found = camera.files();
        if (!found.length) throw new Error("There are no pictures yet: take some first.");
        return [files.zipped(found), `${found.length} pictures are in pictures.zip, in folders by class.`];
      });
      giving($("head"), "head.safetensors", () => camera.inTurn(async () => {
        if (!camera.probe) await camera.train();
        const { kinds, head } = camera.probe, classes = kinds.map((kind) => camera.classes[kind]);
        const blob = files.safetensors(head, { format: 1, backbone: name, classes });
        return [blob, `The linear probe, which answers now, is in head.safetensors: it tells apart ${classes.join(", ")}.`];
      }));
      close = view.render({ model: camera, el: $("camera") });
      $("opened").textContent = "";
    } catch (error) {
      loading = null;
      $("opened").textContent = `This part cannot start. ${error.message}.`;
    }
    $("open").disabled = false;
  }
  $("show").hidden = !close;
  $("open").textContent = close ? CLOSE : OPEN;
  $("open").setAttribute("aria-expanded", Boolean(close)); // the property is younger than the browsers that will do
};

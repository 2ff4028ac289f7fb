// The camera of camera.py. One picture is on its way to the kernel at a time; the next goes when the answer has come.
// Messages to the kernel: frame (with a JPEG; `take` is a class or null), delete, rename, add, probe, new_examination, hello.
// From it: answer (to each of these), picture (a thumbnail), gone; and `state`, all else that is shown.
const SIDE = 224, EVERY = 125, SLOW = 2000, LOST = 20000; // pixels; the rest in milliseconds
const TROUBLES = {
  NotAllowedError: "The browser was not allowed to use the camera: allow it beside the page's address, and start again.",
  NotFoundError: "There is no camera on this machine.",
  NotReadableError: "The camera does not answer; perhaps another program uses it: close that, and start again.",
};
const INSECURE = "Browsers give the camera only to pages from https or from localhost, and this page's address is neither";
// What is said otherwise on the site's live page, whose model has a `place` of its own.
const NOTEBOOK = {
  files: "Pictures can be chosen from files too, below; tl.widgets.upload shows networks a single one.",
  insecure: ": open the notebook by one of these.",
  busy: "The kernel is busy, perhaps with another cell: the camera goes on when it is done.",
};
const BUTTON = "jupyter-button widget-button";
const share = (value) => value.toFixed(2).replace(/^0/, "");
let made = 0;

function render({ model, el }) {
  const view = `${++made}-${Math.random()}`, place = model.get("place") ?? NOTEBOOK;
  el.innerHTML = `<div class="tl-camera" data-lm-suppress-shortcuts="true">
    <div class="row top">
      <div><video muted playsinline aria-label="What the camera sees"></video>
        <div class="row"><button type="button" class="start ${BUTTON}">Start the camera</button></div></div>
      <div><div class="name"></div><div class="bars"></div><div class="rate small"></div></div>
    </div>
    <div class="row" role="radiogroup" aria-label="What pictures are taken for">Pictures are for
      <label><input type="radio" name="${view}" checked> teaching</label>
      <label><input type="radio" name="${view}" class="exam"> the examination</label></div>
    <div class="row top classes"></div>
    <div class="row"><button type="button" class="add ${BUTTON}">Add a class</button>
      <button type="button" class="probe ${BUTTON}"></button>
      <button type="button" class="new ${BUTTON}">New examination</button></div>
    <div role="status" class="words"></div><div class="spoken" role="status"></div>
    <div class="scroll results" role="region" aria-label="Accuracies" tabindex="0"></div></div>`;
  const $ = (name) => el.querySelector(`.tl-camera ${name}`), now = () => performance.now();
  const video = $("video"), start = $(".start"), cards = [], thumbs = new Map();
  let stream = null, gone = false, n = 0, sent = 0, held = null, waiting = [], taken = 0, byKey = false, busy = false;
  let live = false, times = [], last = { name: null, since: 0 };
  const state = () => model.get("state"), knows = () => state().classes.filter(([, count]) => count).length > 1;
  const say = (words) => ($(".words").textContent = words);
  const send = (content, buffers) => model.send({ ...content, view }, undefined, buffers);

  // The picture on its way.
  async function jpeg(source, width, height) {
    const square = document.createElement("canvas"), side = Math.min(width, height);
    square.width = square.height = SIDE;
    const pen = Object.assign(square.getContext("2d"), { fillStyle: "white", imageSmoothingQuality: "high" });
    pen.fillRect(0, 0, SIDE, SIDE); // below what is transparent, as tl.folder has it
    pen.drawImage(source, (width - side) / 2, (height - side) / 2, side, side, 0, 0, SIDE, SIDE);
    return (await new Promise((done) => square.toBlob(done, "image/jpeg", 0.9))).arrayBuffer();
  }
  async function next() {
    if (gone || sent) return;
    let picture = waiting.shift(), take = picture?.take ?? null;
    if (!picture) {
      if (!stream || document.hidden || !video.videoWidth) return;
      if (held !== null && now() - taken > EVERY) [take, taken] = [held, now()];
      else if (!knows()) return;
    }
    [sent, live] = [now(), !picture];
    const number = ++n, exam = picture ? picture.exam : $(".exam").checked;
    try {
      const data = picture?.data ?? (await jpeg(video, video.videoWidth, video.videoHeight));
      if (!gone) send({ kind: "frame", n: number, take, exam }, [data]);
    } catch {
      sent = 0; // a camera that has just been stopped
    }
  }
  function heard(message, buffers) {
    if (message.kind === "picture") return add(message, buffers[0]);
    if (message.kind === "gone") return remove(message.key);
    if (message.kind !== "answer" || message.view !== view) return;
    if (message.words !== undefined) say(message.words);
    if (message.to === "rename") show(true); // a name that was refused gives way to the one before
    if (message.to !== "frame" || message.n !== n) return;
    sent = 0;
    if (busy) [busy] = [false, say("")];
    if (message.bars && (stream || !live)) answer(message); // not what the camera saw before it was stopped
    setTimeout(next, 0);
  }
  function answer({ name, bars, line }) {
    times = [...times, now()].slice(-11);
    const rate = ((times.length - 1) / (now() - times[0])) * 1000;
    const told = line === null ? "The bars are probabilities." : "Below the line in every bar: I don't know.";
    $(".rate").textContent = told + (times.length > 4 ? ` ${rate.toFixed(rate < 10 ? 1 : 0)} answers a second.` : "");
    $(".name").textContent = name || "I don't know";
    el.querySelectorAll(".bar").forEach((bar, i) => {
      const value = bars[i] ?? 0;
      bar.querySelector(".fill").style.width = `${100 * Math.min(1, value)}%`;
      Object.assign(bar.querySelector(".line").style, { left: `${100 * line}%`, display: line === null ? "none" : "block" });
      bar.lastChild.textContent = share(value);
    });
    if (last.name !== name) last = { name, since: now() };
    else if (now() - last.since > 700 && $(".spoken").textContent !== $(".name").textContent) {
      $(".spoken").textContent = $(".name").textContent; // for screen readers, when it has stayed so
    }
  }

  // The camera.
  async function begin() {
    if (stream) return stop("The camera is off.");
    if (!navigator.mediaDevices?.getUserMedia) return say(`${INSECURE}${place.insecure} ${place.files}`);
    start.disabled = true;
    say("Your browser asks whether this page may use the camera: allow it.");
    try {
      const given = await navigator.mediaDevices.getUserMedia({ video: { width: { ideal: 640 }, height: { ideal: 480 } } });
      const track = given.getVideoTracks()[0];
      if (gone) return given.getTracks().forEach((each) => each.stop());
      stream = video.srcObject = given;
      video.style.transform = track.getSettings().facingMode === "environment" ? "" : "scaleX(-1)"; // as in a mirror
      track.onended = () => stop("The camera went away: start it again.");
      await video.play();
      start.textContent = "Stop the camera";
      say("Hold a button, or the number key of its class, to take pictures. A click on a picture deletes it.");
      next();
    } catch (error) {
      stop(`${TROUBLES[error.name] ?? `The camera cannot be used (${error.message || error.name}).`} ${place.files}`);
    } finally {
      start.disabled = false;
    }
  }
  function stop(words) {
    stream?.getTracks().forEach((track) => track.stop());
    [stream, held, times, video.srcObject] = [null, null, [], null];
    start.textContent = "Start the camera";
    for (const part of [".name", ".rate", ".spoken"]) $(part).textContent = "";
    say(words);
  }
  const over = () => (([sent, waiting] = [0, []]), stop("The kernel was stopped, or its connection lost: run this cell again."));
  const hidden = () => {
    if (!stream) return;
    release();
    say(document.hidden ? "Paused, since this page is in the background." : "");
    next();
  };
  const clock = setInterval(() => {
    if (stream && !el.isConnected) stop("The camera is off, since its cell was out of sight.");
    if (sent && now() - sent > SLOW && !busy) {
      busy = true;
      say(place.busy);
    }
    if (sent && now() - sent > LOST) sent = 0;
  }, 500);
  const tick = setInterval(next, 40); // a button that is held, and all that waits

  // What is held.
  function hold(i, key) {
    if (!stream) return say(`Start the camera first. ${place.files}`);
    if (held !== null || !cards[i]) return;
    [held, byKey] = [i, key];
    cards[i].hold.classList.add("held");
    taken = 0; // the shortest press takes one
    if (!sent) return next();
    taken = now();
    jpeg(video, video.videoWidth, video.videoHeight).then((data) => waiting.push({ take: i, exam: $(".exam").checked, data }));
  }
  function release() {
    cards[held]?.hold.classList.remove("held");
    held = null;
  }
  async function choose(i, files) {
    for (const file of files) {
      try {
        const image = await createImageBitmap(file, { imageOrientation: "from-image", colorSpaceConversion: "none" });
        waiting.push({ take: i, exam: $(".exam").checked, data: await jpeg(image, image.width, image.height) });
        image.close();
      } catch {
        say(`${file.name} cannot be read as a picture.`);
      }
    }
  }

  // What is shown.
  function card(i) {
    const box = document.createElement("div"), bar = document.createElement("div");
    box.className = "card";
    box.innerHTML = `<div class="row"><input type="text" maxlength="40" aria-label="Name of class ${i + 1}">
      <span class="small"></span></div>
      <div class="row"><button type="button" class="hold ${BUTTON}"></button>
      <label class="files small">from files<input type="file" accept="image/*" multiple></label></div>
      <div class="thumbs" role="group"></div><div class="thumbs" role="group"></div>`;
    const [name, files] = box.querySelectorAll("input"), button = box.querySelector(".hold");
    name.onchange = () => send({ kind: "rename", class: i, name: name.value });
    files.onchange = () => (choose(i, [...files.files]), (files.value = ""));
    button.onpointerdown = (event) => {
      if (!event.button) button.setPointerCapture(event.pointerId), hold(i, false);
    };
    button.oncontextmenu = (event) => event.preventDefault();
    for (const end of ["pointerup", "pointercancel", "lostpointercapture"]) button.addEventListener(end, release);
    bar.className = "bar";
    bar.innerHTML = `<span></span><div class="track"><div class="fill" style="width:0"></div>
      <div class="line" style="display:none"></div></div><span></span>`;
    $(".classes").append(box);
    $(".bars").append(bar);
    return { name, files, hold: button, count: box.querySelector("span"), rows: box.querySelectorAll(".thumbs"), bar };
  }
  function show(force) {
    const { classes, probe, said, results } = state();
    if (!knows()) {
      $(".name").textContent = $(".spoken").textContent = "";
      $(".rate").textContent = "It answers as soon as there are pictures of two classes.";
    }
    classes.forEach(([name, taught, examined], i) => {
      cards[i] ??= card(i);
      if (force || document.activeElement !== cards[i].name) cards[i].name.value = name;
      cards[i].hold.textContent = `Hold to take: ${name}`;
      cards[i].hold.title = `or hold the key ${i + 1}`;
      cards[i].files.setAttribute("aria-label", `Pictures of ${name} from files`);
      cards[i].count.textContent = `${taught} taught${examined ? `, ${examined} in the examination` : ""}`;
      cards[i].bar.firstChild.textContent = name;
      ["taught", "of the examination"].forEach((of, j) => cards[i].rows[j].setAttribute("aria-label", `${name}, ${of}`));
    });
    $(".probe").textContent = probe ? "Back to the nearest centroid" : "Train a linear probe";
    $(".new").hidden = !classes.some(([, , count]) => count);
    for (const [key, { button, kind, exam }] of thumbs) {
      const [name, right] = said[key] ?? [null, false]; // the name is "" for "I don't know"
      button.querySelector("span").textContent = name === null ? "" : right ? "✓" : name ? "✗" : "?";
      const words = name === null ? "" : `, answered ${name || "I don't know"}`;
      button.ariaLabel = button.title = `Delete this picture of ${classes[kind][0]}${exam ? " in the examination" : ""}${words}`;
    }
    report(results);
  }
  function report(results) {
    const table = document.createElement("table"), hint = document.createElement("div");
    const rows = results.map(({ of, n, right, unknown, accuracy: [mean, low, high] }) =>
      [of, share(mean), `${share(low)} to ${share(high)}`, `${right} of ${n}`, unknown]);
    [["pictures", "accuracy", "95% interval", "right", "“I don't know”"], ...rows].forEach((row, j) => {
      const line = table.insertRow();
      row.forEach((textContent, i) => line.append(Object.assign(document.createElement(i && j ? "td" : "th"), { textContent })));
    });
    hint.textContent = results.some(({ of }) => of === "examination")
      ? "Now make it fail: another background, another light, another person, farther away."
      : "As taught, each picture is judged without itself. Pictures of one press are nearly copies of each other, so this "
        + "flatters: take new ones, under other conditions, for the examination.";
    $(".results").replaceChildren(...(results.length ? [table, hint] : []));
  }
  function add({ key, class: kind, exam }, data) {
    if (thumbs.has(key)) return;
    const button = document.createElement("button"), image = document.createElement("img");
    [image.src, image.alt] = [URL.createObjectURL(new Blob([data], { type: "image/jpeg" })), ""];
    [button.className, button.type] = ["thumb", "button"];
    button.append(image, document.createElement("span"));
    button.onclick = () => send({ kind: "delete", key });
    thumbs.set(key, { button, kind, exam, image });
    const row = cards[kind].rows[+exam];
    button.tabIndex = row.childElementCount ? -1 : 0; // one stop for all; arrows move among them
    row.append(button);
    row.scrollTop = row.scrollHeight;
  }
  function remove(key) {
    if (!thumbs.has(key)) return;
    const { button, image } = thumbs.get(key);
    const near = button.nextSibling ?? button.previousSibling;
    if (near && button.tabIndex === 0) near.tabIndex = 0;
    if (document.activeElement === button) (near ?? start).focus();
    URL.revokeObjectURL(image.src);
    button.remove();
    thumbs.delete(key);
  }

  // Keys: space or enter on a button, or the number of the class anywhere here, as long as it is held.
  el.onkeydown = (event) => {
    const { key, target } = event, thumb = target.classList.contains("thumb");
    const step = { ArrowRight: "nextSibling", ArrowLeft: "previousSibling" }[key];
    if (thumb && step && target[step]) {
      [target.tabIndex, target[step].tabIndex] = [-1, 0];
      target[step].focus();
    } else if (thumb && (key === "Delete" || key === "Backspace")) target.click();
    else if (target.type === "text" && key === "Enter") target.onchange();
    else if (target.classList.contains("hold") && (key === " " || key === "Enter")) {
      if (!event.repeat) hold(cards.findIndex((each) => each.hold === target), true);
    } else if (/^[1-9]$/.test(key) && target.type !== "text" && !event.ctrlKey && !event.metaKey && !event.altKey) {
      if (!event.repeat) hold(key - 1, true);
    } else return;
    event.preventDefault();
    event.stopPropagation();
  };
  el.onkeyup = (event) => (event.target.classList.contains("hold") || /^[1-9]$/.test(event.key)) && release();

  el.onfocusout = () => byKey && release();
  start.onclick = begin;
  $(".add").onclick = () => send({ kind: "add" });
  $(".probe").onclick = () => (say("One moment ..."), send({ kind: "probe" }));
  $(".new").onclick = () => send({ kind: "new_examination" });
  const events = [["msg:custom", heard], ["change:state", () => show()]];
  events.push(...["comm_live_update", "comm:close", "destroy"].map((event) => [event, over]));
  events.forEach(([event, act]) => model.on(event, act));
  document.addEventListener("visibilitychange", hidden);
  show();
  say(state().words);
  send({ kind: "hello" });
  return () => {
    gone = true;
    [clock, tick].forEach(clearInterval);
    document.removeEventListener("visibilitychange", hidden);
    events.forEach(([event, act]) => model.off(event, act));
    stop("");
    thumbs.forEach(({ image }) => URL.revokeObjectURL(image.src));
  };
}

export default { render };

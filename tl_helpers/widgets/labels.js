// Gives the handle of every slider beside it the slider's own label as its name: ipywidgets leaves it without one, and screen
// readers would say "slider" and nothing else.
function render({ el }) {
  let watcher;
  function begin() {
    if (!el.isConnected) return requestAnimationFrame(begin);
    const box = el.parentElement;
    const name = () => box.querySelectorAll(".widget-slider").forEach((slider) => slider.querySelectorAll("[role=slider]")
      .forEach((handle) => handle.setAttribute("aria-label", slider.querySelector("label").textContent)));
    watcher = new MutationObserver(name);
    watcher.observe(box, { childList: true, subtree: true });
    name();
  }
  const waiting = requestAnimationFrame(begin);
  return () => (cancelAnimationFrame(waiting), watcher?.disconnect());
}

export default { render };

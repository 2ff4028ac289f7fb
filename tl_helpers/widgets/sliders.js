// Gives the handle of every slider of the page the slider's own label as its name, those of `interact` too: ipywidgets leaves
// them without one, and screen readers would say "slider" and nothing else. Runs once a page, when the first widget is shown.
if (!window.tlNamesSliders) {
  const name = () => {
    waiting = 0;
    for (const slider of document.querySelectorAll(".widget-slider"))
      for (const handle of slider.querySelectorAll("[role=slider]"))
        handle.setAttribute("aria-label", slider.querySelector("label")?.textContent || "value");
  };
  let waiting = 0;
  window.tlNamesSliders = new MutationObserver(() => { waiting ||= requestAnimationFrame(name); });
  window.tlNamesSliders.observe(document.body, { childList: true, subtree: true });
  name();
}

// Boxes that are moved sideways can be reached by keys too.
addEventListener("load", () => {
  for (const box of document.querySelectorAll(".cell_output .output, .pst-scrollable-table-container, pre")) {
    if (box.scrollWidth > box.clientWidth) box.tabIndex = 0;
  }
});

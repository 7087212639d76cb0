"use strict";
// Nothing here is needed to read the report: it sorts tables, stretches timelines, copies text.
document.documentElement.classList.add("js");

for (const button of document.querySelectorAll("table.sortable thead button")) {
  button.addEventListener("click", () => {
    const head = button.closest("th");
    const column = [...head.parentElement.children].indexOf(head);
    const down = head.getAttribute("aria-sort") !== "descending";
    for (const other of head.parentElement.children) other.removeAttribute("aria-sort");
    head.setAttribute("aria-sort", down ? "descending" : "ascending");
    const body = head.closest("table").tBodies[0];
    const value = (row) => row.children[column].dataset.v ?? row.children[column].textContent.trim();
    const order = (a, b) => {
      const [x, y] = [value(a), value(b)];
      const numbers = x !== "" && y !== "" && !isNaN(x) && !isNaN(y);
      return numbers ? x - y : x.localeCompare(y);
    };
    const rows = [...body.rows].sort(order);
    body.append(...(down ? rows.reverse() : rows));
  });
}

for (const input of document.querySelectorAll(".zoom input")) {
  const box = input.closest("details").querySelector(".tl .scroll");
  const drawing = box.querySelector("svg");
  input.addEventListener("input", () => {
    const middle = (box.scrollLeft + box.clientWidth / 2) / box.scrollWidth;
    drawing.style.width = 100 * 2 ** input.value + "%";
    box.scrollLeft = middle * box.scrollWidth - box.clientWidth / 2;
  });
}

for (const button of document.querySelectorAll("button.copy")) {
  button.addEventListener("click", async () => {
    const text = document.getElementById(button.dataset.of).textContent;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(document.getElementById(button.dataset.of));
      button.textContent = "Selected";
    }
  });
}

addEventListener("beforeprint", () => {
  for (const part of document.querySelectorAll("details.print")) part.open = true;
});

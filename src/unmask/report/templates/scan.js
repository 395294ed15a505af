(() => {
  const body = document.querySelector(".files tbody");
  const rows = [...body.rows];
  const find = document.getElementById("find"), label = document.getElementById("label");
  const filter = () => {
    const words = find.value.toLowerCase();
    let shown = 0;
    for (const row of rows) {
      row.hidden = !(row.dataset.path.toLowerCase().includes(words) && (!label.value || row.dataset.label === label.value));
      shown += !row.hidden;
    }
    document.getElementById("shown").textContent = shown + " shown";
  };
  find.addEventListener("input", filter);
  label.addEventListener("change", filter);
  for (const button of document.querySelectorAll(".files thead button")) {
    button.addEventListener("click", () => {
      const head = button.closest("th"), key = button.dataset.key, text = button.dataset.kind === "text";
      const before = head.getAttribute("aria-sort");
      const down = before ? before === "ascending" : !text;
      for (const other of document.querySelectorAll(".files thead th")) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const order = text
        ? (a, b) => a.dataset[key].localeCompare(b.dataset[key])
        : (a, b) => a.dataset[key] - b.dataset[key];
      rows.sort((a, b) => down ? order(b, a) : order(a, b));
      body.append(...rows);
    });
  }
})();

// Tables of class "tree": rows in depth-first order, each with data-depth. Rows open and close,
// and a column sorts siblings under their parent.
for (const table of document.querySelectorAll("table.tree")) {
  const body = table.tBodies[0];
  const top = { children: [], open: true };
  const path = [top];
  const nodes = [...body.rows].map((row) => {
    const depth = Number(row.dataset.depth);
    const twist = row.querySelector(".twist");
    const node = { row, twist, children: [], open: twist?.getAttribute("aria-expanded") === "true" };
    path[depth].children.push(node);
    path[depth + 1] = node;
    return node;
  });
  nodes.forEach((node, index) => { node.index = index; });

  const reveal = (node, visible) => {
    for (const child of node.children) {
      child.row.hidden = !visible;
      reveal(child, visible && child.open);
    }
  };
  const turn = (node, open) => {
    node.open = open;
    node.twist?.setAttribute("aria-expanded", open);
  };
  body.addEventListener("click", (event) => {
    const node = nodes.find(({ twist }) => twist && twist === event.target);
    if (!node) return;
    turn(node, !node.open);
    reveal(node, node.open);
  });
  const all = (open) => {
    nodes.forEach((node) => turn(node, open || !node.row.dataset.depth));
    top.children.forEach((node) => turn(node, true));
    reveal(top, true);
  };
  for (const tool of table.closest("section").querySelectorAll("[data-open]")) {
    tool.addEventListener("click", () => all(tool.dataset.open === "true"));
  }

  const headers = [...table.tHead.rows[0].cells];
  const value = (node, column) => {
    const cell = node.row.cells[column];
    return "value" in cell.dataset ? Number(cell.dataset.value) : cell.textContent;
  };
  const compare = (a, b) => (typeof a === "number" ? a - b : a.localeCompare(b));
  const sort = (node, column, sign) => {
    node.children.sort((a, b) => sign === 0 ? a.index - b.index
      : sign * compare(value(a, column), value(b, column)) || a.index - b.index);
    node.children.forEach((child) => sort(child, column, sign));
  };
  const inOrder = (node) => node.children.flatMap((child) => [child.row, ...inOrder(child)]);
  headers.forEach((header, column) => {
    header.querySelector("button")?.addEventListener("click", () => {
      const next = { none: "descending", descending: "ascending", ascending: "none" };
      const order = next[header.getAttribute("aria-sort") ?? "none"];
      headers.forEach((other) => other.removeAttribute("aria-sort"));
      if (order !== "none") header.setAttribute("aria-sort", order);
      sort(top, column, { none: 0, descending: -1, ascending: 1 }[order]);
      body.append(...inOrder(top));
    });
  });
}

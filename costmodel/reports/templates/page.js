(() => {
  const { figures, templates } = JSON.parse(document.getElementById("data").textContent);
  const root = document.documentElement;
  const button = document.getElementById("mode");
  const options = {
    responsive: true, displaylogo: false,
    modeBarButtonsToRemove: ["lasso2d", "select2d", "autoScale2d"],
  };
  const drawn = new Set();
  const narrow = matchMedia("(max-width: 40rem)");

  const draw = (number) => {
    drawn.add(number);
    const { data, layout } = figures[number];
    const small = narrow.matches && layout.meta && layout.meta.narrow;
    return Plotly.react(
      `figure-${number}`, data,
      { ...layout, ...(small || {}), template: templates[root.dataset.mode] }, options);
  };
  const redraw = () => drawn.forEach(draw);
  const show = (mode) => {
    root.dataset.mode = mode;
    button.textContent = mode === "dark" ? "Light" : "Dark";
    button.setAttribute("aria-label", `Switch to ${mode === "dark" ? "light" : "dark"} colours`);
    redraw();
  };

  const wanted = matchMedia("(prefers-color-scheme: dark)");
  show(wanted.matches ? "dark" : "light");
  wanted.addEventListener("change", (event) => show(event.matches ? "dark" : "light"));
  button.addEventListener("click", () => show(root.dataset.mode === "dark" ? "light" : "dark"));
  narrow.addEventListener("change", redraw);

  // A figure is drawn when it is about to be seen, so that a page of many opens at once.
  const places = [...document.querySelectorAll(".figure")];
  const numberOf = (place) => Number(place.id.slice("figure-".length));
  const watcher = new IntersectionObserver((entries) => {
    for (const { isIntersecting, target } of entries) {
      if (isIntersecting) {
        watcher.unobserve(target);
        draw(numberOf(target));
      }
    }
  }, { rootMargin: "300px" });
  places.forEach((place) => watcher.observe(place));

  let before = null;
  addEventListener("beforeprint", () => {
    before = root.dataset.mode;
    document.querySelectorAll("details").forEach((entry) => { entry.open = true; });
    show("light");
    places.forEach((place) => draw(numberOf(place)));
  });
  addEventListener("afterprint", () => { if (before) show(before); });
})();

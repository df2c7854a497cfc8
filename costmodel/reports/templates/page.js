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

  // plotly.js comes packed and is unpacked after the page has opened, which is what makes it open
  // at once; with --cdn it is an ordinary script.
  const unpacked = async (text) => {
    const bytes = Uint8Array.from(atob(text), (sign) => sign.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    return new Response(stream).text();
  };
  let loading = null;
  const plotly = () => {
    loading ??= (async () => {
      const packed = document.getElementById("plotly");
      if (packed) {
        const script = document.createElement("script");
        script.textContent = await unpacked(packed.textContent);
        document.head.append(script);
      }
    })();
    return loading;
  };

  const draw = (number) => {
    drawn.add(number);
    const { data, layout } = figures[number];
    const changed = narrow.matches ? layout.meta?.narrow : null;
    const { height, ...wanted } = { ...layout, ...changed, template: templates[root.dataset.mode] };
    const place = document.getElementById(`figure-${number}`);
    place.style.height = `${height ?? 450}px`; // the figure fills its place, at any width
    return Plotly.react(place, data, wanted, options);
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

  // A figure is drawn when it is about to be seen, so that a page of many does not stall.
  const places = [...document.querySelectorAll(".figure")];
  const numberOf = (place) => Number(place.id.slice("figure-".length));
  const watcher = new IntersectionObserver(async (entries) => {
    for (const { target } of entries.filter((entry) => entry.isIntersecting)) {
      watcher.unobserve(target);
      await plotly();
      draw(numberOf(target));
    }
  }, { rootMargin: "300px" });
  addEventListener("load", () => {
    places.forEach((place) => watcher.observe(place));
    if (places.length) setTimeout(plotly, 200);
  });

  let before = null;
  addEventListener("beforeprint", () => {
    before = root.dataset.mode;
    document.querySelectorAll("details").forEach((entry) => { entry.open = true; });
    show("light");
    if (window.Plotly) places.forEach((place) => draw(numberOf(place)));
  });
  addEventListener("afterprint", () => { if (before) show(before); });
})();
